// A whole connection on a socket pair: whatever a client sends, and in what pieces, it gets well-formed replies, one
// for each request, in order, and then the end.

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coir/base/retried.hpp"
#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "coir/http/body_reader.hpp"
#include "coir/http/response.hpp"
#include "coir/runtime/runtime.hpp"
#include "fuzz/pieces.hpp"
#include "fuzz/promise.hpp"
#include "http/event_log.hpp"
#include "http/lone_connection.hpp"
#include "http/server_core.hpp"
#include "support/http_reply.hpp"

namespace {

using coir::Deadline;
using coir::fuzz::require;
using namespace coir::http;

constexpr std::chrono::milliseconds kShort{50};

ServerOptions make_options() {
    ServerOptions options;
    options.max_header_bytes = 4096;
    options.max_header_fields = 16;
    options.max_target_bytes = 1024;
    options.max_body_bytes = 2048;
    options.linger_timeout = kShort;
    return options;
}

Router make_router() {
    Router router;
    const auto echo = [](Request& request, Response& response) {
        if (const auto body = request.body().read_all(Deadline::never())) {
            response.body(*body);
        }
    };
    const auto drop = [](Request&, Response& response) { response.body("dropped\n"); };
    const auto stream = [](Request& request, Response& response) {
        std::array<std::byte, 7> piece;
        for (;;) {
            const auto size = request.body().read_some(piece, Deadline::never());
            if (!size || *size == 0 ||
                !response.write(std::span(piece).first(*size), Deadline::never())) {
                return;
            }
        }
    };
    const auto fail = [](Request&, Response&) { throw 1; };
    for (const Method method : {Method::get, Method::post, Method::put}) {
        router.handle(method, "/", echo)
            .handle(method, "/a", drop)
            .handle(method, "/{x}/b", stream);
        router.handle(method, "/f", fail);
    }
    return router;
}

struct Side {
    coir::Runtime runtime{{.workers = 1}};
    std::shared_ptr<ServerCore> core;

    Side() {
        core = std::make_shared<ServerCore>(make_router(), make_options());
        runtime.run([this] { core->prepare(); });
    }
};

/// Sends all pieces and reads all that comes, as a client that does both at once.
std::string talk(int fd, coir::fuzz::Pieces pieces) {
    std::string got;
    std::string_view to_send;
    bool has_finished = false;
    std::array<std::byte, 4096> space;
    for (;;) {
        if (to_send.empty() && !pieces.empty()) {
            to_send = pieces.next();
        }
        if (!to_send.empty()) {
            const auto sent = coir::syscall::send(fd, std::as_bytes(std::span(to_send)), 0);
            if (sent) {
                to_send.remove_prefix(*sent);
            } else if (!coir::syscall::would_block(sent.error())) {
                to_send = {};  // the server has had enough, and need not read the rest
                pieces = coir::fuzz::Pieces(nullptr, 0);
            }
        } else if (!std::exchange(has_finished, true)) {
            (void)coir::syscall::shutdown(fd, SHUT_WR);
        }
        const auto read = coir::syscall::recv(fd, space, 0);
        if (read && *read != 0) {
            got.append(reinterpret_cast<const char*>(space.data()), *read);
            continue;
        }
        if (read || !coir::syscall::would_block(read.error())) {
            return got;
        }
        pollfd entry{fd, static_cast<short>(POLLIN | (has_finished ? 0 : POLLOUT)), 0};
        // libFuzzer's own alarm interrupts it now and then.
        const auto ready = coir::syscall::retried([&] { return ::poll(&entry, 1, 20'000); });
        require(ready && *ready != 0, "a connection comes to its end");
    }
}

/// What the parser alone makes of the same bytes: the methods of the requests, until one ends the connection.
struct Expected {
    std::vector<bool> is_head;
    bool ends_in_error = false;
};

Expected expect(std::string_view bytes) {
    coir::http::test::EventLog log({});
    log.feed(bytes);
    log.finish();
    Expected expected;
    for (const std::string& event : log.events()) {
        if (event.starts_with("request ")) {
            expected.is_head.push_back(event.starts_with("request HEAD "));
        } else if (event.starts_with("error ")) {
            expected.ends_in_error = true;
        }
    }
    return expected;
}

void check(std::string replies, const Expected& expected) {
    std::size_t answered = 0;
    while (!replies.empty()) {
        const bool to_head = answered < expected.is_head.size() && expected.is_head[answered];
        const auto reply = coir::test::take_reply(replies, {.to_head = to_head, .at_end = true});
        if (!reply) {
            return;  // cut short where a body failed in the middle: its framing says so
        }
        if (reply->status >= 200) {
            ++answered;
        }
        require(!reply->says_close() || replies.empty() || reply->status < 200,
                "close is the last word");
    }
    require(answered <= expected.is_head.size() + (expected.ends_in_error ? 1 : 0),
            "nobody is answered who has not asked");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Side side;
    const coir::fuzz::Pieces pieces(data, size);
    auto ends = coir::syscall::socket_pair(SOCK_STREAM).value();
    auto serving = side.runtime.spawn([end = std::move(ends.first)]() mutable {
        coir::http::test::start_lone_connection(side.core, std::move(end));
        coir::http::test::await_lone_connections(*side.core);
    });
    const std::string replies = talk(ends.second.get(), pieces);
    ends.second.reset();
    serving.join();
    try {
        check(replies, expect(pieces.all()));
    } catch (const coir::test::MalformedReply& error) {
        require(false, error.what());
    }
    return 0;
}
