#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "coir/net/tcp_stream.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

// A handler has so much time for what is not its client's.
namespace coir::http {
namespace {

using coir::test::HttpReply;
using coir::test::soon;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using test::get;
using test::kNever;
using test::pattern;
using test::Served;

constexpr milliseconds kShort{20};
constexpr std::chrono::hours kFarTooLong{1};

ServerOptions with_timeout(milliseconds timeout) {
    ServerOptions options;
    options.handler_timeout = timeout;
    return options;
}

/// Waits until the handler's time is over.
void use_up_time() {
    EXPECT_EQ(this_fiber::sleep_for(kFarTooLong), std::errc::timed_out);
}

/// What ServerOptions::on_error has been told.
class Reports final {
public:
    void add(const ServerError& error) {
        const std::lock_guard lock(mutex_);
        errors_.push_back(error.error);
        wheres_.push_back(error.where);
        with_exception_ += error.exception != nullptr ? 1 : 0;
    }
    /// Whether there were so many, all of handlers that ran out of time.
    void expect_timeouts(std::size_t count, int with_exception) {
        const std::lock_guard lock(mutex_);
        EXPECT_EQ(errors_.size(), count);
        for (std::size_t i = 0; i < errors_.size(); ++i) {
            EXPECT_EQ(errors_[i], std::errc::timed_out);
            EXPECT_EQ(wheres_[i], ServerError::Where::handler);
        }
        EXPECT_EQ(with_exception_, with_exception);
    }

private:
    std::mutex mutex_;
    std::vector<std::error_code> errors_;
    std::vector<ServerError::Where> wheres_;
    int with_exception_ = 0;
};

class HandlerTimeout : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, HandlerTimeout, testing::Values(1, 3));

TEST_P(HandlerTimeout, LimitsWaitsByDefaultAndPerRoute) {
    std::atomic<bool> is_never{false};
    std::atomic<Deadline::Clock::rep> end{0};
    const auto say_deadline = [&](Request&, Response& response) {
        is_never = this_fiber::deadline().is_never();
        end = this_fiber::deadline().time_point().time_since_epoch().count();
        response.body("");
    };
    Router routes;
    routes.get("/default", say_deadline);
    routes.get("/never", say_deadline, {.handler_timeout = milliseconds::max()});
    routes.get("/short", say_deadline, {.handler_timeout = milliseconds(5'000)});
    Served served(std::move(routes), {}, GetParam());
    TcpClient client(served.port());
    const auto ask = [&](const char* path) {
        client.send(get(path));
        EXPECT_EQ(client.receive().status, 200);
    };
    const auto end_after = [](auto duration) {
        return Deadline::after(duration).time_point().time_since_epoch().count();
    };
    ask("/default");
    EXPECT_FALSE(is_never);
    EXPECT_LE(end, end_after(ServerOptions().handler_timeout));
    EXPECT_GT(end, end_after(milliseconds(5'000)));
    ask("/never");
    EXPECT_TRUE(is_never);
    ask("/short");
    EXPECT_FALSE(is_never);
    EXPECT_LE(end, end_after(milliseconds(5'000)));
}

TEST_P(HandlerTimeout, AHandlerThatWaitsTooLongAndThrowsGets503) {
    Reports reports;
    ServerOptions options = with_timeout(kShort);
    options.on_error = [&](const ServerError& error) { reports.add(error); };
    Router routes = test::sample_router();
    routes.get("/wait", [](Request&, Response& response) {
        response.body("never said");
        Parker parker;
        parker.park(kNever).value();
    });
    Served served(std::move(routes), options, GetParam());
    TcpClient other(served.port());
    TcpClient client(served.port());
    client.send(get("/1") + get("/wait") + get("/2"));
    EXPECT_EQ(client.receive().body, "/1");
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.field("Connection"), "close");
    client.expect_end();
    other.send(get("/3"));
    EXPECT_EQ(other.receive().body, "/3");
    EXPECT_EQ(served.stats().handler_timeouts, 1U);
    EXPECT_EQ(served.stats().handler_failures, 0U);
    EXPECT_EQ(served.stats().timeouts, 0U);
    reports.expect_timeouts(1, 1);
}

TEST_P(HandlerTimeout, SoDoesOneThatReturnsWithoutAWord) {
    Reports reports;
    ServerOptions options = with_timeout(kShort);
    options.on_error = [&](const ServerError& error) { reports.add(error); };
    Router routes;
    routes.get("/", [](Request&, Response&) { use_up_time(); });
    Served served(std::move(routes), options, GetParam());
    TcpClient client(served.port());
    client.send(get("/"));
    EXPECT_EQ(client.receive().status, 503);
    client.expect_end();
    EXPECT_EQ(served.stats().handler_timeouts, 1U);
    reports.expect_timeouts(1, 0);
}

TEST_P(HandlerTimeout, OneThatFailsInTimeGets500) {
    Router routes;
    routes.get("/", [](Request&, Response&) {
        this_fiber::sleep_for(milliseconds(1));
        throw std::runtime_error("in time");
    });
    Served served(std::move(routes), {}, GetParam());
    TcpClient client(served.port());
    client.send(get("/"));
    EXPECT_EQ(client.receive().status, 500);
    EXPECT_EQ(served.stats().handler_timeouts, 0U);
    EXPECT_EQ(served.stats().handler_failures, 1U);
}

TEST_P(HandlerTimeout, WhatALateHandlerSaysIsSentAndTheConnectionStays) {
    Router routes = test::sample_router();
    routes.get("/late", [](Request&, Response& response) {
        use_up_time();
        response.body("late");
    });
    Served served(std::move(routes), with_timeout(kShort), GetParam());
    TcpClient client(served.port());
    // The third comes when the time of the first and the second would have ended the idle wait.
    client.send(get("/late") + get("/late"));
    EXPECT_EQ(client.receive().body, "late");
    EXPECT_EQ(client.receive().body, "late");
    std::this_thread::sleep_for(3 * kShort);
    client.send(get("/1"));
    EXPECT_EQ(client.receive().body, "/1");
    EXPECT_EQ(served.stats().handler_timeouts, 0U);
}

TEST_P(HandlerTimeout, ALateStreamThatFailsEndsInTheMiddle) {
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        EXPECT_TRUE(response.write("begun", kNever));
        EXPECT_TRUE(response.body_writer().flush(kNever));
        use_up_time();
        throw std::runtime_error("late");
    });
    Served served(std::move(routes), with_timeout(kShort), GetParam());
    TcpClient client(served.port());
    client.send(get("/"));
    const std::string all = client.receive_rest();
    EXPECT_NE(all.find("200 OK"), std::string::npos);
    EXPECT_NE(all.find("begun"), std::string::npos);
    EXPECT_EQ(all.find("\r\n0\r\n"), std::string::npos);
    EXPECT_EQ(served.stats().handler_timeouts, 1U);
}

TEST_P(HandlerTimeout, APipelinedRequestHasItsOwnTime) {
    Router routes;
    routes.get("/slow", [](Request&, Response& response) {
        use_up_time();
        response.body("slow");
    });
    routes.get("/quick", [](Request&, Response& response) {
        response.body(this_fiber::sleep_for(milliseconds(1)) ? "cut" : "quick");
    });
    Served served(std::move(routes), with_timeout(milliseconds(100)), GetParam());
    TcpClient client(served.port());
    client.send(get("/slow") + get("/quick"));
    EXPECT_EQ(client.receive().body, "slow");
    EXPECT_EQ(client.receive().body, "quick");
}

TEST_P(HandlerTimeout, EventsMayBeStreamedWhereTheRouteHasNoLimit) {
    Router routes;
    routes.get("/events",
               [](Request&, Response& response) {
                   for (int i = 0; i < 3; ++i) {
                       EXPECT_TRUE(response.write("event\n", kNever));
                       EXPECT_TRUE(response.body_writer().flush(kNever));
                       EXPECT_FALSE(this_fiber::sleep_for(3 * kShort));
                   }
               },
               {.handler_timeout = milliseconds::max()});
    Served served(std::move(routes), with_timeout(kShort), GetParam());
    TcpClient client(served.port());
    client.send(get("/events"));
    EXPECT_EQ(client.receive().body, "event\nevent\nevent\n");
}

/// A client that takes a long time for its body, as long as it lives.
class SlowUpload final {
public:
    SlowUpload(TcpClient& client, const std::string& path) {
        client.send("POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        thread_ = std::jthread([&client](const std::stop_token& stop) {
            while (!stop.stop_requested() && client.try_send("x")) {
                std::this_thread::sleep_for(milliseconds(10));
            }
        });
    }

private:
    std::jthread thread_;
};

TEST_P(HandlerTimeout, ABodyIsReadWhenItIsOverAndThatTimeIsGivenBack) {
    Router routes;
    routes.post("/", [](Request& request, Response& response) {
        use_up_time();
        const Deadline before = this_fiber::deadline();
        const Deadline end = soon();
        const Deadline wanted = Deadline::at(before.time_point() + milliseconds(200));
        std::array<std::byte, 1> byte;
        while (this_fiber::deadline() < wanted && !end.has_passed(Deadline::Clock::now())) {
            if (!request.body().read_some(byte, kNever)) {
                return;
            }
        }
        response.body(this_fiber::deadline() >= wanted ? "given back" : "kept");
    });
    Served served(std::move(routes), with_timeout(kShort), GetParam());
    TcpClient client(served.port());
    const SlowUpload upload(client, "/");
    EXPECT_EQ(client.receive().body, "given back");
    EXPECT_EQ(served.stats().handler_timeouts, 0U);
}

constexpr std::string_view kLast = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

TEST_P(HandlerTimeout, AResponseIsWrittenWhenItIsOverAndThatTimeIsGivenBack) {
    std::atomic<bool> is_given_back{false};
    const std::string piece = pattern(100'000);
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        use_up_time();
        const Deadline before = this_fiber::deadline();
        const Deadline end = soon();
        const Deadline wanted = Deadline::at(before.time_point() + milliseconds(100));
        while (this_fiber::deadline() < wanted && !end.has_passed(Deadline::Clock::now())) {
            if (!response.write(piece, kNever)) {
                return;
            }
        }
        is_given_back = this_fiber::deadline() >= wanted;
    });
    Served served(std::move(routes), with_timeout(kShort), GetParam());
    auto stream = net::TcpStream::connect(served.address(), soon()).value();
    ASSERT_TRUE(stream.write_all(std::as_bytes(std::span(kLast)), soon()));
    std::array<std::byte, 8192> taken;
    for (;;) {
        const auto size = stream.read_some(taken, soon());
        ASSERT_TRUE(size.has_value());
        if (*size == 0) {
            break;
        }
        std::this_thread::sleep_for(milliseconds(1));
    }
    EXPECT_TRUE(is_given_back);
    EXPECT_EQ(served.stats().handler_timeouts, 0U);
}

TEST_P(HandlerTimeout, ADeadlineOfTheHandlersOwnGoesOnToHold) {
    Router routes;
    routes.post("/", [](Request& request, Response& response) {
        const Deadline limit = this_fiber::deadline();
        std::array<std::byte, 1000> bytes;
        std::error_code error;
        {
            const this_fiber::DeadlineScope scope(Deadline::after(milliseconds(200)));
            const Deadline narrow = this_fiber::deadline();
            while (!error) {
                error = request.body().read_some(bytes, kNever).error();
                EXPECT_EQ(this_fiber::deadline(), narrow);
            }
        }
        EXPECT_GE(this_fiber::deadline(), limit);
        EXPECT_FALSE(this_fiber::deadline().is_never());
        response.body(error == std::errc::timed_out ? "gave up" : error.message());
    });
    Served served(std::move(routes), {}, GetParam());
    TcpClient client(served.port());
    const SlowUpload upload(client, "/");
    EXPECT_EQ(client.receive().body, "gave up");
    EXPECT_EQ(served.stats().timeouts, 0U);
}

TEST_P(HandlerTimeout, TriggersTheTokenOfAHandlerThatHasAskedForIt) {
    std::atomic<int> heard{0};
    Router routes;
    routes.get("/", [&](Request& request, Response& response) {
        const this_fiber::Shield shield;  // only the token ends this wait
        Parker parker;
        const auto token = request.stop_token();
        const std::stop_callback over(token, [&] { parker.unpark(); });
        heard += parker.park(soon()).has_value() && token.stop_requested() ? 1 : 0;
        response.body("over");
    });
    Served served(std::move(routes), with_timeout(kShort), GetParam());
    TcpClient client(served.port());
    for (int round = 1; round <= 3; ++round) {
        client.send(get("/"));
        EXPECT_EQ(client.receive().body, "over");
        EXPECT_EQ(heard, round);
    }
}

TEST_P(HandlerTimeout, LetsGoOfTheTokenOfAHandlerThatIsInTime) {
    std::mutex mutex;
    std::vector<std::stop_token> tokens;
    Router routes;
    routes.get("/", [&](Request& request, Response& response) {
        const std::lock_guard lock(mutex);
        tokens.push_back(request.stop_token());
        EXPECT_TRUE(tokens.back().stop_possible());
        response.body("");
    });
    Served served(std::move(routes), {}, GetParam());
    TcpClient client(served.port());
    for (int round = 0; round < 3; ++round) {
        client.send(get("/"));
        EXPECT_EQ(client.receive().status, 200);
    }
    const std::lock_guard lock(mutex);
    EXPECT_EQ(tokens.size(), 3U);
    for (const std::stop_token& token : tokens) {
        EXPECT_FALSE(token.stop_requested());
        EXPECT_FALSE(token.stop_possible());  // nobody is left who could
    }
}

}  // namespace
}  // namespace coir::http
