#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cctype>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "lone_connection.hpp"
#include "served.hpp"
#include "support/tcp_client.hpp"
#include "wire_cases.hpp"

/// The wire cases of the parser once more, against a whole server.
namespace coir::http {
namespace {

using coir::test::HttpReply;
using coir::test::TcpClient;

int status_for_event(std::string_view error) {
    if (error == "unsupported_method" || error == "unsupported_coding") {
        return 501;
    }
    return error == "unsupported_version"   ? 505
           : error == "header_too_large"    ? 431
           : error == "misdirected_request" ? 421
           : error == "target_too_long"     ? 414
           : error == "body_too_large"      ? 413
           : error == "expectation_failed"  ? 417
                                            : 400;
}

struct Expected {
    int status = 0;
    std::string body;
    bool is_head = false;
    bool closes = false;
    bool may_hear_continue = false;
};

/// What the server must answer: its handlers say the target and the body of each request.
std::vector<Expected> expected_replies(const test::WireCase& wire_case) {
    std::vector<Expected> replies;
    for (const std::string& event : wire_case.events) {
        if (event.starts_with("request ")) {
            const std::size_t target = event.find(' ', 8) + 1;
            const std::size_t target_end = event.find(' ', target);
            const bool is_asterisk = event.substr(target, target_end - target) == "*" ||
                                     event.find(" path=*") != std::string::npos;
            replies.push_back({is_asterisk ? 204 : 200,
                               is_asterisk ? "" : event.substr(target, target_end - target) + "|",
                               event.starts_with("request HEAD "),
                               event.find(" close", target_end) != std::string::npos,
                               event.find(" continue", target_end) != std::string::npos});
            if (replies.back().closes && event != wire_case.events.back() &&
                wire_case.events.back().starts_with("request ")) {
                break;  // nothing after a close is parsed
            }
        } else if (event.starts_with("body ")) {
            replies.back().body += event.substr(5);
        } else if (!event.starts_with("header ")) {
            // Where the handler has not got its body, the engine answers instead.
            if (wire_case.name.starts_with("bodies")) {
                replies.pop_back();
            } else if (event == "incomplete") {
                continue;
            }
            replies.push_back(
                {status_for_event(std::string_view(event).substr(6)), "", false, true, false});
        }
    }
    return replies;
}

Router echo_everything() {
    const auto echo = [](Request& request, Response& response) {
        std::string text(request.target());
        const auto body = request.body().read_all(Deadline::never());
        if (body) {
            response.body(text.append("|").append(*body));
        }
    };
    Router router;
    for (std::size_t i = 0; i < kMethodCount; ++i) {
        const auto method = static_cast<Method>(i);
        router.handle(method, "/", echo).handle(method, "/{a}", echo);
        router.handle(method, "/{a}/{b}", echo).handle(method, "/{a}/{b}/{c}", echo);
        router.handle(method, "//x/../y", echo);
    }
    return router;
}

class WireOverSockets : public testing::TestWithParam<test::WireCase> {
protected:
    static ServerOptions options() {
        ServerOptions options;
        options.max_header_bytes = 4096;
        options.max_header_fields = 16;
        options.max_target_bytes = 1024;
        options.max_chunk_extension_bytes = 200;
        options.max_body_bytes = std::numeric_limits<std::size_t>::max();
        return options;
    }
    /// `receive(is_head)` gives the next reply.
    template <typename Receive>
    void expect_replies(Receive receive) {
        for (const Expected& expected : expected_replies(GetParam())) {
            HttpReply reply = receive(expected.is_head);
            if (expected.may_hear_continue && reply.status == 100) {
                reply = receive(false);
            }
            EXPECT_EQ(reply.status, expected.status);
            if (expected.status == 200 && !expected.is_head) {
                EXPECT_EQ(reply.body, expected.body);
            }
            EXPECT_EQ(reply.says_close(), expected.closes);
        }
    }
    void expect_replies(TcpClient& client) {
        expect_replies([&client](bool is_head) {
            return is_head ? client.receive_to_head() : client.receive();
        });
        client.expect_end();
    }
    void expect_replies(std::string answer) {
        expect_replies([&answer](bool is_head) {
            auto reply = coir::test::take_reply(answer, {.to_head = is_head, .at_end = true});
            return reply ? std::move(*reply) : throw coir::test::ClientError("no reply");
        });
        EXPECT_EQ(answer, "");
    }
};

TEST_P(WireOverSockets, WholeIsAnsweredAsExpected) {
    test::Served served(echo_everything(), options());
    TcpClient client(served.port());
    (void)client.try_send(GetParam().input);
    client.finish_sending();
    expect_replies(client);
}

/// The cases that are sent in pieces too: each piece of a longer one costs the wait for its reader, or
/// a connection. The parser's own tests cut all of them everywhere.
class ShortWireOverSockets : public WireOverSockets {
public:
    static std::vector<test::WireCase> cases() {
        auto cases = test::load_wire_cases();
        std::erase_if(cases, [](const auto& wire_case) { return wire_case.input.size() > 1500; });
        return cases;
    }
};

TEST_P(ShortWireOverSockets, ByteByByteIsAnsweredAsExpected) {
    test::Served served(echo_everything(), options());
    TcpClient client(served.port());
    for (const char& byte : GetParam().input) {
        if (!client.try_send({&byte, 1})) {
            break;
        }
        client.wait_until_read();
    }
    client.finish_sending();
    expect_replies(client);
}

/// What one connection answers to two pieces, of which the first has been read before the second is
/// sent. Requires: called on the only worker.
std::string answer_to(std::string_view first, std::string_view second,
                      const std::shared_ptr<ServerCore>& core) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    test::start_lone_connection(core, UniqueFd(ends[0]));
    net::TcpStream client{UniqueFd(ends[1])};
    for (const std::string_view piece : {first, second}) {
        // It may have refused what came before.
        (void)client.write_all(std::as_bytes(std::span(piece)), coir::test::soon());
        while (client.unconfirmed_bytes().value_or(0) != 0) {
            this_fiber::yield();
        }
    }
    (void)client.shutdown(net::Shutdown::write);
    std::string answer;
    std::array<std::byte, 4096> piece;
    for (;;) {
        const auto size = client.read_some(piece, coir::test::soon());
        if (!size || *size == 0) {
            EXPECT_TRUE(size || size.error() == std::errc::connection_reset) << size.error();
            break;
        }
        answer.append(reinterpret_cast<const char*>(piece.data()), *size);
    }
    client.close();
    test::await_lone_connections(*core);
    return answer;
}

TEST_P(ShortWireOverSockets, SplitAnywhereIsAnsweredAsExpected) {
    const std::string_view input = GetParam().input;
    Runtime runtime({.workers = 1});
    runtime.run([this, input] {
        const auto core = std::make_shared<ServerCore>(echo_everything(), options());
        core->prepare();
        for (std::size_t split = 1; split < input.size(); ++split) {
            SCOPED_TRACE("split at byte " + std::to_string(split));
            expect_replies(answer_to(input.substr(0, split), input.substr(split), core));
        }
    });
}

std::string test_name(const testing::TestParamInfo<test::WireCase>& info) {
    return test::test_name(info.param);
}

INSTANTIATE_TEST_SUITE_P(Connection, WireOverSockets, testing::ValuesIn(test::load_wire_cases()),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Connection, ShortWireOverSockets,
                         testing::ValuesIn(ShortWireOverSockets::cases()), test_name);

}  // namespace
}  // namespace coir::http
