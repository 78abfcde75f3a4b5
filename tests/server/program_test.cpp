// The program around the server: what it says, how it starts and how it ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "server/arena_requests.hpp"
#include "server/expect_answer.hpp"
#include "support/listening_sockets.hpp"
#include "support/patience.hpp"
#include "support/server_process.hpp"
#include "support/tcp_client.hpp"

namespace coir::test {
namespace {

using namespace std::chrono_literals;
using testing::ContainsRegex;
using testing::EndsWith;
using testing::MatchesRegex;

const ProcessEnd kSuccess{.exit_code = 0};
const ProcessEnd kFailure{.exit_code = 1};
const ProcessEnd kUsage{.exit_code = 2};

/// The program's own patience with requests that have begun.
constexpr auto kStopDeadline = 10s;

/// Sends the signal, and waits until the server refuses connections.
void stop_listening(RunningServer& server, int signal) {
    const pid_t pid = server.process().pid();
    ASSERT_GT(listening_sockets(pid), 0U);
    server.process().send_signal(signal);
    EXPECT_TRUE(holds_before(soon(), [pid] { return listening_sockets(pid) == 0; }));
}

/// On a port below those that Linux hands out by itself (from 32,768 up): nobody gets it by chance
/// while it is free.
std::unique_ptr<RunningServer> make_server_on_quiet_port() {
    constexpr int kTries = 100;
    const int first = 20'000 + ::getpid() % 10'000;
    for (int port = first; port != first + kTries; ++port) {
        try {
            return std::make_unique<RunningServer>(
                std::vector<std::string>{"--workers", "2", "--port", std::to_string(port)});
        } catch (const std::runtime_error&) {
            // Taken.
        }
    }
    throw std::runtime_error("no port is free");
}

TEST(Program, SaysInOneLineWhereItListensAndWithWhat) {
    RunningServer two({"--workers=2"});
    EXPECT_THAT(two.line(), MatchesRegex("coir-server listening on 127.0.0.1:[0-9]+, 2 workers, "
                                         "(mimalloc [0-9.]+|the system's allocator)"));
    RunningServer one({"--workers=1"});
    EXPECT_THAT(one.line(), ContainsRegex(", 1 worker, "));
    one.stop();
    EXPECT_EQ(one.process().read_line(), std::nullopt);
}

TEST(Program, TakesItsOptionsFromTheEnvironment) {
    ServerProcess process({},
                          {{"COIR_HOST", "127.0.0.1"}, {"COIR_PORT", "0"}, {"COIR_WORKERS", "3"}});
    EXPECT_THAT(process.read_line().value_or(""),
                MatchesRegex("coir-server listening on 127.0.0.1:[0-9]+, 3 workers, .*"));
}

TEST(Program, ExplainsItself) {
    ServerProcess process({"--help"});
    EXPECT_EQ(process.read_line(),
              "usage: coir-server [--host ADDRESS] [--port PORT] [--workers COUNT]");
    EXPECT_EQ(process.wait_for_end(), kSuccess);
    EXPECT_EQ(process.error_text(), "");
}

TEST(Program, RefusesABadOptionInOneLine) {
    const std::vector<std::vector<std::string>> bad{{"--prot", "80"}, {"--port", "65536"},
                                                    {"--workers=-1"}, {"--host=nowhere"},
                                                    {"--port"},       {"80"}};
    for (const auto& arguments : bad) {
        SCOPED_TRACE(arguments.front());
        ServerProcess process(arguments);
        EXPECT_EQ(process.wait_for_end(), kUsage);
        EXPECT_THAT(process.error_text(), MatchesRegex("coir-server: [^\n]+\n"));
        EXPECT_EQ(process.read_line(), std::nullopt);
    }
}

TEST(Program, RefusesAPortThatIsTaken) {
    // Both would have their workers share the port, but not with each other.
    RunningServer first;
    const std::string port = std::to_string(first.port());
    for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
        ServerProcess second({"--host", host, "--port", port, "--workers", "2"});
        EXPECT_EQ(second.wait_for_end(), kFailure);
        EXPECT_EQ(second.error_text(), "coir-server: cannot listen on " + std::string(host) + ":" +
                                           port + ": Address already in use\n");
    }
    TcpClient client(first.port());
    expect_alive(client);
}

TEST(Program, RefusesAnAddressThatIsNotOurs) {
    ServerProcess process({"--host", "192.0.2.1", "--port", "0"});
    EXPECT_EQ(process.wait_for_end(), kFailure);
    EXPECT_EQ(process.error_text(),
              "coir-server: cannot listen on 192.0.2.1:0: Cannot assign requested address\n");
}

TEST(Program, ListensAgainOnThePortItHasJustLeft) {
    std::string port;
    {
        const auto server = make_server_on_quiet_port();
        port = std::to_string(server->port());
        TcpClient client(server->port());
        expect_alive(client);
        server->process().send_signal(SIGTERM);  // the server closes first, and its side waits
        client.expect_end();
        EXPECT_EQ(server->process().wait_for_end(), kSuccess);
    }
    ServerProcess again({"--host", "127.0.0.1", "--port", port});
    EXPECT_TRUE(again.read_line()) << again.error_text();
}

TEST(Program, ListensOnIpv6) {
    ServerProcess process({"--host", "::1", "--port", "0"});
    const auto line = process.read_line();
    if (!line &&
        process.error_text().find("Cannot assign requested address") != std::string::npos) {
        GTEST_SKIP() << "there is no IPv6 here";
    }
    EXPECT_THAT(line.value_or(""), MatchesRegex("coir-server listening on \\[::1\\]:[0-9]+, .*"));
}

class Stop : public testing::TestWithParam<int> {};

TEST_P(Stop, WithoutConnections) {
    RunningServer server;
    server.process().send_signal(GetParam());
    EXPECT_EQ(server.process().wait_for_end(), kSuccess);
}

/// Ends what is idle at once, and does not wait for the deadline to do so.
void expect_prompt_end(RunningServer& server, std::vector<TcpClient>& clients, int signal) {
    const auto begin = Deadline::Clock::now();
    server.process().send_signal(signal);
    for (TcpClient& client : clients) {
        client.expect_end();
    }
    EXPECT_EQ(server.process().wait_for_end(), kSuccess);
    EXPECT_LT(Deadline::Clock::now() - begin, kStopDeadline - 2s);
}

TEST_P(Stop, ClosesConnectionsThatWaitForTheNextRequest) {
    RunningServer server;
    std::vector<TcpClient> clients;
    for (int i = 0; i != 50; ++i) {
        clients.emplace_back(server.port());
        expect_alive(clients.back());
    }
    expect_prompt_end(server, clients, GetParam());
}

TEST_P(Stop, ClosesConnectionsThatHaveNeverSaidAnything) {
    RunningServer server;
    std::vector<TcpClient> clients;
    for (int i = 0; i != 50; ++i) {
        clients.emplace_back(server.port());
    }
    expect_prompt_end(server, clients, GetParam());
}

TEST_P(Stop, AnswersRequestsThatHaveBegun) {
    for (const Exchange& exchange : arena_exchanges()) {
        SCOPED_TRACE(exchange.name);
        RunningServer server;
        TcpClient client(server.port());
        const std::size_t half = exchange.request.size() / 2;
        client.send(exchange.request.substr(0, half));
        client.wait_until_read();
        stop_listening(server, GetParam());
        client.send(exchange.request.substr(half));
        const HttpReply reply = exchange.is_head ? client.receive_to_head() : client.receive();
        expect_text(reply, 200, exchange.is_head ? "" : exchange.body);
        EXPECT_TRUE(reply.says_close());
        client.expect_end();
        client.close();  // or the server lingers
        EXPECT_EQ(server.process().wait_for_end(), kSuccess);
    }
}

INSTANTIATE_TEST_SUITE_P(, Stop, testing::Values(SIGTERM, SIGINT), [](const auto& test) {
    return std::string(test.param == SIGTERM ? "OnSigterm" : "OnSigint");
});

TEST(StopSignals, AreHeardWhereTheParentHasBlockedThem) {
    sigset_t both;
    sigset_t before;
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &both, &before), 0);
    RunningServer server;
    ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
    server.process().send_signal(SIGTERM);
    EXPECT_EQ(server.process().wait_for_end(), kSuccess);
}

TEST(StopUnderLoad, LosesNoAnswerToWhatItHasRead) {
    // Whoever got an answer got a whole one; whoever got none sees the end.
    RunningServer server;
    std::vector<TcpClient> clients;
    for (int i = 0; i != 100; ++i) {
        clients.emplace_back(server.port());
    }
    for (TcpClient& client : clients) {
        client.send(request_for("/pipeline"));
    }
    server.process().send_signal(SIGTERM);
    for (TcpClient& client : clients) {
        try {
            expect_text(client.receive(), 200, "ok");
        } catch (const ClientError&) {
            EXPECT_EQ(client.unread(), "");
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::connection_reset);
        }
    }
    EXPECT_EQ(server.process().wait_for_end(), kSuccess);
}

/// A server that was told to stop, and waits for the rest of a request.
class Stopping : public testing::Test {
protected:
    void SetUp() override {
        client_.send("POST /baseline11?a=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n2");
        client_.wait_until_read();
        stopped_at_ = Deadline::Clock::now();
        stop_listening(server_, SIGTERM);
    }
    [[nodiscard]] auto elapsed() const { return Deadline::Clock::now() - stopped_at_; }

    RunningServer server_;
    TcpClient client_{server_.port()};
    Deadline::Clock::time_point stopped_at_;
};

TEST_F(Stopping, ASecondSignalEndsItAtOnce) {
    server_.process().send_signal(SIGTERM);
    EXPECT_EQ(server_.process().wait_for_end(), kFailure);
    EXPECT_LT(elapsed(), kStopDeadline - 2s);
}

TEST_F(Stopping, ItsDeadlineEndsWhatDoesNotEndByItself) {
    EXPECT_EQ(server_.process().wait_for_end(Deadline::after(2 * kPatience)), kSuccess);
    EXPECT_GE(elapsed(), kStopDeadline - 1s);
    client_.expect_end();
}

}  // namespace
}  // namespace coir::test
