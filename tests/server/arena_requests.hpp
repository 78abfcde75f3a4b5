#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace coir::test {

/// One request of the arena contract, and the answer it must get.
struct Exchange {
    std::string name;
    std::string request;
    std::string body;  // of the answer; of a HEAD, what a GET would have got
    bool is_head = false;

    friend void PrintTo(const Exchange& exchange, std::ostream* out) { *out << exchange.name; }
};

/// A request without a body.
inline std::string request_for(std::string_view target, std::string_view method = "GET") {
    return std::string(method) + ' ' + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

/// A POST to `target`, with Content-Length.
inline std::string post_of(std::string_view body, std::string_view target) {
    return "POST " + std::string(target) +
           " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + std::string(body);
}

/// Every shape that the arena sends, and those beside it that the same handlers answer.
inline std::vector<Exchange> arena_exchanges() {
    const std::string chunked =
        "POST /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    return {
        {"Get", request_for("/baseline11?a=13&b=42"), "55"},
        {"PostWithContentLength", post_of("20", "/baseline11?a=13&b=42"), "75"},
        {"PostChunked", chunked + "2\r\n20\r\n0\r\n\r\n", "75"},
        {"PostInTwoChunksWithTrailer", chunked + "1;x=y\r\n2\r\n1\r\n0\r\n0\r\nA: b\r\n\r\n", "75"},
        {"Pipeline", request_for("/pipeline"), "ok"},
        {"Head", request_for("/baseline11?a=13&b=42", "HEAD"), "55", true},
        {"HeadOfPipeline", request_for("/pipeline", "HEAD"), "ok", true},
        {"GetWithoutQuery", request_for("/baseline11"), "0"},
    };
}

}  // namespace coir::test
