// What does it cost to turn the bytes of a request into a Request, and how much of that is llhttp?
//
// Inside the timer: parse_head() on a whole request, its body where it has one, and reset().
// Outside: reading, routing. The yardstick is bare llhttp with callbacks that do nothing, on the
// same bytes. These heads are plain; by_llhttp they are parsed as those that are not. Surprising would
// be: more than half the yardstick for a plain head, or more than twice the yardstick by llhttp for a
// short GET, or a distance to the yardstick that grows faster than the number of header fields.

#include <benchmark/benchmark.h>
#include <llhttp.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "http/request_parser.hpp"
#include "wrong_answer.hpp"

namespace {

using coir::http::RequestHead;
using coir::http::RequestParser;

std::string get_with_headers(int headers) {
    std::string request = "GET /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\n";
    for (int i = 1; i < headers; ++i) {
        request += "X-Header-" + std::to_string(i) + ": a value of ordinary length\r\n";
    }
    return request + "\r\n";
}

void report(benchmark::State& state, std::size_t bytes) {
    state.SetItemsProcessed(state.iterations());
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void parse_headers(benchmark::State& state, bool leaves_all_to_llhttp) {
    const auto headers = static_cast<int>(state.range(0));
    const std::string bytes = get_with_headers(headers);
    RequestParser parser({.max_header_bytes = 65'000,
                          .max_header_fields = 256,
                          .max_target_bytes = 8192,
                          .leaves_all_to_llhttp = leaves_all_to_llhttp});
    RequestHead head;
    for (auto _ : state) {
        const auto progress = parser.parse_head(bytes, head);
        if (!progress || *progress != RequestParser::Progress::head_complete ||
            head.headers.size() != static_cast<std::size_t>(headers) || head.query != "a=13&b=42") {
            coir::bench::wrong_answer(state, "not parsed");
            break;
        }
        parser.reset();
    }
    report(state, bytes.size());
}
BENCHMARK_CAPTURE(parse_headers, plain, false)
    ->Name("http/parse/headers")
    ->Arg(1)
    ->Arg(4)
    ->Arg(16)
    ->Arg(64);
BENCHMARK_CAPTURE(parse_headers, by_llhttp, true)
    ->Name("http/parse/headers_by_llhttp")
    ->Arg(1)
    ->Arg(4)
    ->Arg(16)
    ->Arg(64);

void llhttp_headers(benchmark::State& state) {
    const std::string bytes = get_with_headers(static_cast<int>(state.range(0)));
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_message_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
    llhttp_t llhttp;
    for (auto _ : state) {
        llhttp_init(&llhttp, HTTP_REQUEST, &settings);
        if (llhttp_execute(&llhttp, bytes.data(), bytes.size()) != HPE_PAUSED) {
            coir::bench::wrong_answer(state, "not parsed");
            break;
        }
    }
    report(state, bytes.size());
}
BENCHMARK(llhttp_headers)
    ->Name("http/parse/yardstick:llhttp/headers")
    ->Arg(1)
    ->Arg(4)
    ->Arg(16)
    ->Arg(64);

void parse_chunked_post(benchmark::State& state) {
    const std::string head_bytes =
        "POST /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    const std::string body_bytes = "2\r\n20\r\n0\r\n\r\n";
    RequestParser parser(
        {.max_header_bytes = 65'000, .max_header_fields = 64, .max_target_bytes = 8192});
    RequestHead head;
    std::array<std::byte, 64> body;
    for (auto _ : state) {
        const auto progress = parser.parse_head(head_bytes, head);
        const auto decoded = parser.decode_chunks(std::as_bytes(std::span(body_bytes)), body.data(),
                                                  body_bytes.size());
        if (!progress || !decoded || !decoded->complete || decoded->written != 2) {
            coir::bench::wrong_answer(state, "not parsed");
            break;
        }
        parser.reset();
    }
    report(state, head_bytes.size() + body_bytes.size());
}
BENCHMARK(parse_chunked_post)->Name("http/parse/chunked_post");

}  // namespace
