#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "served.hpp"

/// Requests and handlers that the tests over sockets share.
namespace coir::http::test {

inline constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
inline constexpr Deadline kNever = Deadline::never();

[[nodiscard]] inline std::string get(std::string_view path) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}
[[nodiscard]] inline std::string post(std::string_view path, std::string_view body) {
    return "POST " + std::string(path) +
           " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}
[[nodiscard]] inline std::string chunked(std::string_view path, std::string_view chunks) {
    return "POST " + std::string(path) +
           " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(chunks);
}
[[nodiscard]] inline std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>('a' + i * 7 % 26);
    }
    return text;
}

inline void say_path(Request& request, Response& response) {
    response.body(request.path());
}
inline void echo_whole(Request& request, Response& response) {
    const auto body = request.body().read_all(kNever);
    if (body) {
        response.body(*body);
    }
}
inline void echo_by_pieces(Request& request, Response& response) {
    std::array<std::byte, 1000> piece;
    for (;;) {
        const auto size = request.body().read_some(piece, kNever);
        if (!size || *size == 0 || !response.write(std::span(piece).first(*size), kNever)) {
            return;
        }
    }
}
[[nodiscard]] inline Router sample_router() {
    Router router;
    router.get("/", say_path).get("/1", say_path).get("/2", say_path).get("/3", say_path);
    router.post("/whole", echo_whole).post("/pieces", echo_by_pieces);
    router.post("/unread", say_path);
    return router;
}

}  // namespace coir::http::test
