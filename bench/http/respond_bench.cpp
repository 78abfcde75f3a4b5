// What does a request cost in user space, without the kernel, and what do its stations cost?
//
// Inside the timer: for http/serve, a burst of 16 requests from the input buffer to the output
// buffer: parse, route, handle, respond; for http/route and http/respond one station alone.
// Outside: system calls, fibers, and the comparison of the last bytes with what they should be. The yardstick copies a finished response 16 times. Surprising
// would be: a serve that costs more than parse, route and respond together, or a route whose cost
// grows with the number of exact routes.

#include <benchmark/benchmark.h>

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "coir/base/buffer.hpp"
#include "coir/base/number.hpp"
#include "coir/http/body_reader.hpp"
#include "coir/http/response.hpp"
#include "coir/http/router.hpp"
#include "http/date_cache.hpp"
#include "http/request_parser.hpp"
#include "http/response_writer.hpp"
#include "wrong_answer.hpp"

namespace {

using namespace coir::http;

constexpr int kBurst = 16;

constexpr std::string_view kFinishedResponse =
    "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

void get_pipeline(Request&, Response& response) {
    response.content_type(media::text_plain).body_static("ok");
}

void get_baseline(Request& request, Response& response) {
    std::int64_t sum = 0;
    for (const auto& [name, value] : request.query()) {
        sum += coir::parse_integer<std::int64_t>(value).value_or(0);
    }
    char text[20];
    const char* const end = std::to_chars(text, text + sizeof text, sum).ptr;
    response.content_type(media::text_plain)
        .body(std::string_view(text, static_cast<std::size_t>(end - text)));
}

// What is never called, for the routes that must not be mistaken for each other.
void get_other(Request&, Response&) {}
void get_post_of_user(Request&, Response&) {}

Router make_router(int more_routes) {
    Router router;
    router.get("/pipeline", get_pipeline).get("/baseline11", get_baseline);
    for (int i = 0; i < more_routes; ++i) {
        router.get("/route/" + std::to_string(i), get_other);
    }
    router.get("/users/{id}/posts/{post}", get_post_of_user);
    return router;
}

void serve(benchmark::State& state, std::string_view target, std::string_view expected_body) {
    std::string burst;
    for (int i = 0; i < kBurst; ++i) {
        burst.append("GET ").append(target).append(" HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
    }
    const Router router = make_router(0);
    coir::Buffer in(8192);
    coir::Buffer out(8192);
    RequestParser parser(
        {.max_header_bytes = 16'384, .max_header_fields = 64, .max_target_bytes = 8192});
    RequestHead head;
    BodyReader body;
    Request request(head, body);
    Response response;
    DateCache date;
    response_writer::Context context;
    context.date_line = date.line_at(784111777);
    for (auto _ : state) {
        in.append(burst);
        while (!in.empty()) {
            const auto progress = parser.parse_head(in.as_text(), head);
            if (!progress) {
                coir::bench::wrong_answer(state, "not parsed");
                return;
            }
            const Router::Match match = router.find(head.method, head.path, request.parameters());
            response.reset();
            match.endpoint->handler(request, response);
            (void)response_writer::append_response(out, response, context);
            in.consume(parser.head_bytes());
            parser.reset();
        }
        if (!out.as_text().ends_with(expected_body)) {
            coir::bench::wrong_answer(state, "wrong answer");
            return;
        }
        out.clear();
    }
    state.SetItemsProcessed(kBurst * state.iterations());
}
BENCHMARK_CAPTURE(serve, pipeline, "/pipeline", "\r\n\r\nok")->Name("http/serve/pipeline");
BENCHMARK_CAPTURE(serve, baseline, "/baseline11?a=13&b=42", "\r\n\r\n55")
    ->Name("http/serve/baseline");

void copy_finished_response(benchmark::State& state) {
    const std::string response(kFinishedResponse);
    std::string expected;
    for (int i = 0; i < kBurst; ++i) {
        expected += response;
    }
    coir::Buffer out(8192);
    for (auto _ : state) {
        out.clear();
        for (int i = 0; i < kBurst; ++i) {
            out.append(response);
        }
        benchmark::DoNotOptimize(out.as_text().data());
    }
    if (out.as_text() != expected) {
        coir::bench::wrong_answer(state, "not copied");
        return;
    }
    state.SetItemsProcessed(kBurst * state.iterations());
}
BENCHMARK(copy_finished_response)->Name("http/serve/yardstick:copy");

void respond(benchmark::State& state) {
    Response response;
    response.content_type(media::text_plain).body_static("ok");
    DateCache date;
    response_writer::Context context;
    context.date_line = date.line_at(784111777);
    coir::Buffer out(8192);
    for (auto _ : state) {
        out.clear();
        (void)response_writer::append_response(out, response, context);
        benchmark::DoNotOptimize(out.as_text().data());
    }
    if (out.as_text() != kFinishedResponse) {
        coir::bench::wrong_answer(state, "wrong bytes");
        return;
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(respond)->Name("http/respond");

using Function = void (*)(Request&, Response&);

bool is(const Endpoint* endpoint, Function expected) {
    const auto* function = endpoint != nullptr ? endpoint->handler.target<Function>() : nullptr;
    return function != nullptr && *function == expected;
}

void route(benchmark::State& state, std::string_view path, Function expected) {
    const Router router = make_router(static_cast<int>(state.range(0)));
    PathParameters parameters;
    const Endpoint* const endpoint = router.find(Method::get, path, parameters).endpoint;
    if (!is(endpoint, expected)) {
        coir::bench::wrong_answer(state, "not found, or another route's handler");
        return;
    }
    for (auto _ : state) {
        if (router.find(Method::get, path, parameters).endpoint != endpoint) {
            coir::bench::wrong_answer(state, "found another handler");
            return;
        }
    }
    if (expected == get_post_of_user &&
        (parameters.find("id") != "77" || parameters.find("post") != "88")) {
        coir::bench::wrong_answer(state, "wrong parameters");
        return;
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(route, exact, "/baseline11", get_baseline)
    ->Name("http/route/exact/routes")
    ->Arg(1)
    ->Arg(1000);
BENCHMARK_CAPTURE(route, parameters, "/users/77/posts/88", get_post_of_user)
    ->Name("http/route/parameters/routes")
    ->Arg(1)
    ->Arg(1000);

}  // namespace
