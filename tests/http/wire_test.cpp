#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

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
    return error == "unsupported_version"  ? 505
           : error == "header_too_large"   ? 431
           : error == "target_too_long"    ? 414
           : error == "expectation_failed" ? 417
                                           : 400;
}

struct Expected {
    int status = 0;
    std::string body;
    bool is_head = false;
    bool closes = false;
};

/// What the server must answer: its handlers say the target and the body of each request.
std::vector<Expected> expected_replies(const test::WireCase& wire_case) {
    std::vector<Expected> replies;
    for (const std::string& event : wire_case.events) {
        if (event.starts_with("request ")) {
            const std::size_t target = event.find(' ', 8) + 1;
            const std::size_t target_end = event.find(' ', target);
            const bool is_asterisk = event.substr(target, target_end - target) == "*";
            replies.push_back({is_asterisk ? 204 : 200,
                               is_asterisk ? "" : event.substr(target, target_end - target) + "|",
                               event.starts_with("request HEAD "),
                               event.find(" close", target_end) != std::string::npos});
            if (replies.back().closes && event != wire_case.events.back() &&
                wire_case.events.back().starts_with("request ")) {
                break;  // nothing after a close is parsed
            }
        } else if (event.starts_with("body ")) {
            replies.back().body += event.substr(5);
        } else if (event.starts_with("error malformed_chunk") || event == "incomplete") {
            // The handler has not got its body, so the engine answers instead.
            if (!replies.empty() && wire_case.name.starts_with("bodies")) {
                replies.back() = {400, "Bad Request\n", false, true};
            }
        } else if (event.starts_with("error ")) {
            const int status = status_for_event(std::string_view(event).substr(6));
            replies.push_back({status, "", false, true});
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
        return options;
    }
    void expect_replies(TcpClient& client) {
        for (const Expected& expected : expected_replies(GetParam())) {
            HttpReply reply = expected.is_head ? client.receive_to_head() : client.receive();
            if (reply.status == 100) {
                reply = client.receive();
            }
            EXPECT_EQ(reply.status, expected.status);
            if (expected.status == 200 && !expected.is_head) {
                EXPECT_EQ(reply.body, expected.body);
            }
            EXPECT_EQ(reply.says_close(), expected.closes);
        }
        client.expect_end();
    }
};

TEST_P(WireOverSockets, WholeIsAnsweredAsExpected) {
    test::Served served(echo_everything(), options());
    TcpClient client(served.port());
    (void)client.try_send(GetParam().input);
    client.finish_sending();
    expect_replies(client);
}

TEST_P(WireOverSockets, ByteByByteIsAnsweredAsExpected) {
    if (GetParam().input.size() > 1500) {
        GTEST_SKIP() << "the parser's own test has sent it byte by byte";
    }
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

std::string test_name(const testing::TestParamInfo<test::WireCase>& info) {
    return test::test_name(info.param);
}

INSTANTIATE_TEST_SUITE_P(Connection, WireOverSockets, testing::ValuesIn(test::load_wire_cases()),
                         test_name);

}  // namespace
}  // namespace coir::http
