#include "coir/http/upgraded_stream.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>

#include "coir/base/error.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"
#include "upgrades.hpp"

// What becomes of connections that have left HTTP.
namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::soon;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::as_bytes;
using test::ask;
using test::echo;
using test::echo_of;
using test::echo_routes;
using test::expect_101;
using test::get;
using test::kNever;
using test::Served;

TEST(UpgradedStream, ReadsFirstWhatHadArrived) {
    Router routes;
    routes.get("/echo", [](Request&, Response& response) {
        ASSERT_TRUE(
            response
                .upgrade("echo",
                         [](UpgradedStream& client) {
                             std::array<std::byte, 4> four;
                             EXPECT_EQ(client.arrived().size(), 6U);
                             EXPECT_TRUE(client.wait_readable(Deadline::after({})).has_value());
                             EXPECT_EQ(client.try_read_some(std::span(four).first(1)).value(), 1U);
                             EXPECT_EQ(client.arrived().size(), 5U);
                             for (int i = 0; i != 2; ++i) {  // the second is cut in the middle
                                 ASSERT_TRUE(client.read_exact(four, soon()).has_value());
                                 EXPECT_TRUE(client.stream().write_all(four, soon()).has_value());
                             }
                             EXPECT_TRUE(client.arrived().empty());
                             EXPECT_EQ(client.try_read_some(four).error(),
                                       std::errc::operation_would_block);
                             EXPECT_TRUE(
                                 client.stream().write_all(as_bytes("."), soon()).has_value());
                             EXPECT_TRUE(client.wait_readable(soon()).has_value());
                             EXPECT_EQ(client.read_exact(four, soon()).error(),
                                       make_error_code(Errc::unexpected_eof));
                         })
                .has_value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(ask() + "abcdef");
    expect_101(client.receive());
    client.send("ghi");
    EXPECT_EQ(client.receive_exactly(9), "bcdefghi.");
    EXPECT_EQ(echo_of(client, "jkl"), "");
}

/// A hook that waits for its client, and what has come of it.
class WaitingHook final {
public:
    template <typename Wait>
    Router routes(Wait wait) {
        Router routes;
        routes.get("/echo", [this, wait](Request&, Response& response) {
            ASSERT_TRUE(response
                            .upgrade("echo",
                                     [this, wait](UpgradedStream& client) {
                                         waits_ = true;
                                         wait(client);
                                         ended_ = true;
                                     })
                            .has_value());
        });
        return routes;
    }
    void await() const {
        EXPECT_TRUE(holds_before(soon(), [this] { return waits_.load(); }));
    }
    [[nodiscard]] bool has_ended() const { return ended_; }

private:
    std::atomic<bool> waits_{false};
    std::atomic<bool> ended_{false};
};

class UpgradedConnection : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, UpgradedConnection, testing::Values(1, 3));

TEST_P(UpgradedConnection, TheHookHearsOfAStopAndMaySayGoodbye) {
    WaitingHook hook;
    Served served(hook.routes([](UpgradedStream& client) {
        const auto token = client.stop_token();
        const std::stop_callback on_stop(token, [&] { client.stream().wake_reader(); });
        while (!token.stop_requested()) {
            EXPECT_TRUE(client.wait_readable(soon()).has_value());
        }
        EXPECT_TRUE(client.stream().write_all(as_bytes("bye"), soon()).has_value());
    }),
                  {}, GetParam());
    TcpClient client(served.port());
    client.send(ask());
    expect_101(client.receive());
    hook.await();
    EXPECT_EQ(served.stats().open, 1U);
    served.server().stop(Deadline::never());
    EXPECT_EQ(client.receive_rest(), "bye");
    client.close();
    served.join();
    EXPECT_TRUE(hook.has_ended());
}

TEST_P(UpgradedConnection, AStopCutsAHookThatDoesNotHearAndWaitsForIt) {
    WaitingHook hook;
    Served served(hook.routes([](UpgradedStream& client) {
        std::array<std::byte, 8> room;
        EXPECT_EQ(client.read_some(room, kNever).error(), std::errc::operation_canceled);
        EXPECT_TRUE(client.stop_token().stop_requested());
        for (int i = 0; i != 100; ++i) {
            this_fiber::yield();
        }
    }),
                  {}, GetParam());
    TcpClient client(served.port());
    client.send(ask());
    expect_101(client.receive());
    hook.await();
    served.server().stop(Deadline::after(milliseconds(10)));
    served.join();
    EXPECT_TRUE(hook.has_ended());
    client.expect_end();
}

// What hooks do when they hear of a stop runs within it.
TEST(UpgradedConnection, AStopDoesNotHoldItsLockWhenItTellsTheHooks) {
    WaitingHook hook;
    Server* server = nullptr;
    std::atomic<bool> was_told = false;
    Served served(hook.routes([&](UpgradedStream& client) {
        const std::stop_callback on_stop(client.stop_token(), [&] {
            EXPECT_EQ(server->stats().open, 1U);
            was_told = true;
            server->stop(Deadline::after(seconds(0)));
        });
        echo(client);
    }));
    server = &served.server();
    TcpClient client(served.port());
    client.send(ask());
    expect_101(client.receive());
    hook.await();
    served.server().stop(Deadline::never());
    served.join();
    EXPECT_TRUE(was_told);
}

TEST_P(UpgradedConnection, AHookThatThrowsIsReportedAndItsClientReset) {
    std::atomic<int> reports = 0;
    ServerOptions options;
    options.on_error = [&reports](const ServerError& error) {
        EXPECT_EQ(error.where, ServerError::Where::handler);
        EXPECT_EQ(error.path, "");
        EXPECT_THROW(std::rethrow_exception(error.exception), std::runtime_error);
        ++reports;
    };
    WaitingHook hook;
    Served served(hook.routes([](UpgradedStream& client) {
        std::array<std::byte, 8> room;
        ASSERT_TRUE(client.read_some(room, soon()).has_value());
        throw std::runtime_error("no echo today");
    }),
                  options, GetParam());
    TcpClient client(served.port());
    client.send(ask());
    expect_101(client.receive());
    client.send("x");
    try {
        (void)client.receive_rest();
        ADD_FAILURE() << "a clean end";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::connection_reset);
    }
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    EXPECT_EQ(reports, 1);
    EXPECT_EQ(served.stats().handler_failures, 1U);
}

TEST(UpgradedConnection, WhatTheHookHoldsGoesBeforeTheConnectionLingers) {
    ServerOptions options;
    options.linger_timeout = seconds(1000);
    const auto held = std::make_shared<int>(0);
    Router routes;
    routes.get("/echo", [&held](Request&, Response& response) {
        ASSERT_TRUE(response.upgrade("echo", [held = held](UpgradedStream&) {}).has_value());
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(ask());
    expect_101(client.receive());
    EXPECT_EQ(client.receive_rest(), "");
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 1; }));
    EXPECT_EQ(held.use_count(), 1);
    client.close();
}

TEST(UpgradedConnection, CountsAsOpen) {
    ServerOptions options;
    options.max_connections = 1;
    Served served(echo_routes(), options);
    TcpClient client(served.port());
    client.send(ask());
    expect_101(client.receive());
    TcpClient other(served.port());
    EXPECT_EQ(other.receive().status, 503);
    EXPECT_EQ(served.stats().open, 1U);
    EXPECT_EQ(echo_of(client, "x"), "x");
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
}

TEST(UpgradedConnection, HasNoTimeoutOfTheServers) {
    ServerOptions options;
    options.idle_timeout = options.body_timeout = options.write_timeout = milliseconds(20);
    WaitingHook hook;
    Served served(hook.routes([](UpgradedStream& client) {
        std::array<std::byte, 8> room;
        for (int i = 0; i != 2; ++i) {
            const auto read = client.read_some(room, Deadline::after(milliseconds(100)));
            EXPECT_EQ(read.error(), std::errc::timed_out);  // the hook's own
        }
        EXPECT_TRUE(client.stream().write_all(as_bytes("now"), soon()).has_value());
        echo(client);
    }),
                  options);
    TcpClient client(served.port());
    client.send(ask());
    expect_101(client.receive());
    EXPECT_EQ(client.receive_exactly(3), "now");
    EXPECT_EQ(echo_of(client, "x"), "x");
    EXPECT_EQ(served.stats().timeouts, 0U);
}

// Its buffers would be most of what an upgraded connection costs.
TEST(UpgradedConnection, HasGivenItsExchangeBack) {
    std::atomic<const Response*> of_upgrade = nullptr;
    std::atomic<const Response*> of_next = nullptr;
    Router routes;
    routes.get("/1", [&](Request&, Response& response) { of_next = &response; });
    routes.get("/echo", [&](Request&, Response& response) {
        of_upgrade = &response;
        ASSERT_TRUE(response.upgrade("echo", echo).has_value());
    });
    Served served(std::move(routes), {}, 1);
    TcpClient client(served.port());
    client.send(ask());
    expect_101(client.receive());
    client.send("x");
    client.wait_until_read();  // so the hook runs
    TcpClient other(served.port());
    other.send(get("/1"));
    EXPECT_EQ(other.receive().status, 200);
    EXPECT_EQ(of_upgrade.load(), of_next.load());
    EXPECT_EQ(echo_of(client, "y"), "xy");
}

}  // namespace
}  // namespace coir::http
