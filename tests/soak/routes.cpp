#include "routes.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <numeric>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string_view>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/http/body_reader.hpp"
#include "coir/http/query.hpp"
#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "coir/http/upgraded_stream.hpp"
#include "coir/runtime/blocking.hpp"
#include "coir/runtime/file.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/scope.hpp"
#include "coir/runtime/this_fiber.hpp"

namespace coir::soak {
namespace {

using http::Request;
using http::Response;
using std::chrono::milliseconds;

constexpr Deadline kNever = Deadline::never();

std::size_t number(std::string_view text) {
    std::size_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// --- bodies of requests --------------------------------------------------------------------------

void echo_whole(Request& request, Response& response) {
    const auto body = request.body().read_all(kNever);
    if (body) {
        response.body(*body);
    }
}

void echo_by_pieces(Request& request, Response& response) {
    std::array<std::byte, 700> piece;
    for (;;) {
        const auto size = request.body().read_some(piece, kNever);
        if (!size || *size == 0 || !response.write(std::span(piece).first(*size), kNever)) {
            return;
        }
    }
}

void count(Request& request, Response& response) {
    std::array<std::byte, 3000> piece;
    std::size_t bytes = 0;
    for (;;) {
        const auto size = request.body().read_some(piece, kNever);
        if (!size) {
            return;
        }
        if (*size == 0) {
            response.body(std::to_string(bytes));
            return;
        }
        bytes += *size;
    }
}

void answer_early(Request& request, Response& response) {
    std::array<std::byte, 100> piece;
    if (request.body().read_some(piece, kNever)) {
        response.body("early");
    }
}

void say_path(Request& request, Response& response) {
    response.body(request.path());
}

// --- bodies of responses -------------------------------------------------------------------------

void stream(Request& request, Response& response) {
    const std::string text = pattern(number(request.param("bytes")));
    std::string_view rest = text;
    std::size_t piece = 1;
    while (!rest.empty()) {
        const std::string_view next = rest.substr(0, piece);
        if (!response.write(next, kNever) ||
            (piece % 2 == 0 && !response.body_writer().flush(kNever))) {
            return;
        }
        rest.remove_prefix(next.size());
        piece = piece * 3 % 40'000 + 1;
    }
}

void stream_with_trailer(Request&, Response& response) {
    if (response.announce_trailer("X-Sum") && response.write("some ", kNever) &&
        response.write("text", kNever)) {
        (void)response.trailer("X-Sum", "9");
    }
}

void throw_in_the_middle(Request&, Response& response) {
    if (response.write("begun", kNever) && response.body_writer().flush(kNever)) {
        throw std::runtime_error("in the middle");
    }
}

void promise_too_much(Request&, Response& response) {
    response.content_length(100);
    (void)response.write("less", kNever);
}

std::shared_ptr<const File> open_file() {
    std::FILE* const made = std::tmpfile();  // has no name, so nobody needs to remove it
    if (made == nullptr) {
        throw std::runtime_error("no temporary file");
    }
    File file(UniqueFd(::dup(::fileno(made))));
    std::fclose(made);
    const std::string text = pattern(kFileBytes);
    file.write_all_at(0, std::as_bytes(std::span(text)), kNever).value();
    return std::make_shared<const File>(std::move(file));
}

// --- handlers that wait --------------------------------------------------------------------------

void sleep(Request& request, Response& response) {
    (void)response.send_earlier_replies(kNever);
    (void)this_fiber::sleep_for(milliseconds(number(request.param("ms"))));
    response.body("slept");
}

// Until the client has gone, or for so long.
void wait_for_client(Request& request, Response& response) {
    Parker parker;
    const auto token = request.stop_token();
    const std::stop_callback gone(token, [&] { parker.unpark(); });
    (void)parker.park(Deadline::after(milliseconds(number(request.param("ms")))));
    response.body("waited");
}

// Until its time is over.
void wait_too_long(Request&, Response&) {
    (void)this_fiber::sleep_for(std::chrono::hours(1));
}

void echo_bytes(http::UpgradedStream& client) {
    const auto soon = [] { return Deadline::after(std::chrono::seconds(8)); };
    std::array<std::byte, 2000> room;
    for (;;) {
        const auto size = client.read_some(room, soon());
        if (!size || *size == 0 ||
            !client.stream().write_all(std::span(room).first(*size), soon())) {
            return;
        }
    }
}

void fan_out(Request&, Response& response) {
    std::atomic<int> sum{0};
    Scope scope;
    for (int i = 1; i <= 3; ++i) {
        scope.spawn([&sum, i] {
            this_fiber::yield();
            sum += i;
        });
    }
    scope.join();
    response.body(std::to_string(sum.load()));
}

void block(Request&, Response& response) {
    response.body(std::to_string(blocking([] {
        std::array<int, 100> numbers;
        std::iota(numbers.begin(), numbers.end(), 1);
        return std::accumulate(numbers.begin(), numbers.end(), 0);
    })));
}

// --- what is going on ----------------------------------------------------------------------------

void say_stats(const Served& served, Response& response) {
    const http::ServerStats server = served.server->stats();
    const RuntimeStats runtime = served.runtime->stats();
    std::string text;
    const auto add = [&](std::string_view name, std::uint64_t value) {
        text.append(name).append(" ").append(std::to_string(value)).append("\n");
    };
    add("fibers", runtime.alive());
    add("open", server.open);
    add("lingering", server.lingering);
    add("accepted", server.accepted);
    add("requests", server.requests);
    add("bad_requests", server.bad_requests);
    add("handler_failures", server.handler_failures);
    add("handler_timeouts", server.handler_timeouts);
    add("timeouts", server.timeouts);
    add("refused", server.refused);
    add("accept_errors", server.accept_errors);
    response.body(std::move(text));
}

}  // namespace

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>('a' + (i * 7 + i / 1000) % 26);
    }
    return text;
}

http::Router make_routes(const Served& served) {
    http::Router routes;
    routes.get("/hello", [](Request&, Response& response) { response.body_static("hello"); });
    routes.get("/query", [](Request& request, Response& response) {
        response.body(request.query().find("x").value_or(""));
    });
    routes.post("/whole", echo_whole);
    routes.post("/pieces", echo_by_pieces);
    routes.post("/count", count, {.max_body_bytes = 50'000'000});
    routes.post("/form", echo_whole, {.max_body_bytes = kFormBytes});
    routes.post("/unread", say_path);
    routes.post("/early", answer_early);

    routes.get("/stream/{bytes}", stream);
    routes.get("/trailer", stream_with_trailer);
    routes.get("/large", [text = pattern(kLargeBytes)](Request&, Response& response) {
        response.body_static(std::string_view(text));
    });
    routes.get("/file", [file = open_file()](Request&, Response& response) {
        response.file(file, 0, kFileBytes);
    });

    routes.get("/sleep/{ms}", sleep);
    routes.get("/wait/{ms}", wait_for_client);
    routes.get("/late", wait_too_long, {.handler_timeout = milliseconds(20)});
    routes.get("/leave", [](Request&, Response& response) {
        if (!response.upgrade("echo", echo_bytes)) {
            response.status(http::Status::upgrade_required);
        }
    });
    routes.get("/fan-out", fan_out);
    routes.get("/blocking", block);

    routes.get("/throws", [](Request&, Response&) { throw std::runtime_error("at once"); });
    routes.get("/throws-late", throw_in_the_middle);
    routes.get("/no-memory", [](Request&, Response&) { throw std::bad_alloc(); });
    routes.get("/breaks-promise", promise_too_much);

    routes.get("/stats", [&served](Request&, Response& response) { say_stats(served, response); });
    return routes;
}

}  // namespace coir::soak
