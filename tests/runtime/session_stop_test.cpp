#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <source_location>
#include <stop_token>
#include <system_error>
#include <vector>

#include "coir/runtime/parker.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/session.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/turns.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using namespace test;

TEST(Session, IsReportedWhileItWaits) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    auto [ours, theirs] = test::make_socket_pair();
    const int fd = theirs.get();
    const auto line = std::source_location::current().line() + 2;
    runtime.run([&, end = std::move(theirs)]() mutable {
        start_turns(std::move(end), alive, echo, {.name = "echo"});
    });
    EXPECT_EQ(ask(ours.get(), "x"), "x");
    ASSERT_TRUE(holds_before(soon(), [&] { return runtime.stats().waiting == 1; }));
    ASSERT_TRUE(holds_before(soon(), [&] { return runtime.fibers().size() == 1; }));
    const FiberInfo info = runtime.fibers().front();
    EXPECT_NE(info.id, 0U);
    EXPECT_EQ(info.name, "echo");
    EXPECT_EQ(info.state, FiberInfo::State::waiting);
    EXPECT_STREQ(info.waits_for, "bytes to read");
    EXPECT_EQ(info.fd, fd);
    EXPECT_EQ(info.site.line(), line);
    EXPECT_FALSE(info.stop_requested);
}

TEST(Session, IsAskedToStopWithTheRuntime) {
    for (const std::size_t workers : {1U, 2U}) {
        Runtime runtime({.workers = workers});
        std::atomic<int> alive{0};
        std::atomic<int> turns{0};
        std::error_code told;
        bool is_asked = false;
        runtime.run([&] {
            start_turns(test::make_eventfd(), alive, [&](IoSource& source, Result<void> waited) {
                if (++turns == 1) {
                    (void)this_fiber::stop_token();  // it is the fiber's, and stays with it
                    return NextTurn::when_readable(source, Deadline::never());
                }
                told = waited.error();
                is_asked =
                    this_fiber::stop_requested() && this_fiber::stop_token().stop_requested();
                EXPECT_TRUE(this_fiber::sleep_for(1h));  // ends at once
                return NextTurn::none();
            });
        });
        ASSERT_TRUE(holds_before(soon(), [&] { return runtime.stats().waiting == 1; }));
        EXPECT_TRUE(runtime.stop(Deadline::after(1ms), test::kPatience).empty());
        EXPECT_EQ(told, std::errc::operation_canceled);
        EXPECT_TRUE(is_asked);
        EXPECT_EQ(alive, 0);
    }
}

// The fibers were asked first, then callbacks ran, then the sessions were asked.
TEST(Session, ARequestToStopReachesATurnThatBeginsWhileItIsUnderWay) {
    Runtime runtime({.workers = 2});
    std::atomic<int> alive{0};
    std::atomic<int> turns{0};
    std::error_code slept;
    UniqueFd event = test::make_eventfd();
    const UniqueFd signaled(
        ::dup(event.get()));  // the session may end, and close its own, before that
    runtime.run([&] {
        start_turns(std::move(event), alive, [&](IoSource& source, Result<void>) {
            if (++turns == 1) {
                return NextTurn::when_readable(source, Deadline::never());
            }
            slept = this_fiber::sleep_until(soon());
            return NextTurn::none();
        });
    });
    ASSERT_TRUE(holds_before(soon(), [&] { return runtime.stats().waiting == 1; }));
    auto other = runtime.spawn([&] {
        const std::stop_callback on_stop(this_fiber::stop_token(), [&] {
            test::signal(signaled.get());
            (void)holds_before(Deadline::after(100ms), [&] { return turns == 2; });
        });
        (void)this_fiber::sleep_until(soon());
    });
    ASSERT_TRUE(holds_before(soon(), [&] { return runtime.stats().waiting == 2; }));
    runtime.request_stop();
    other.join();
    EXPECT_TRUE(has_ended(alive));
    EXPECT_EQ(slept, std::errc::operation_canceled);
}

TEST(Session, IsReportedWhileItIsReady) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    runtime.run([&] {
        start_turns(test::make_eventfd(), alive,
                    [](IoSource&, Result<void>) { return NextTurn::none(); }, {.name = "ready"});
        const auto fibers = runtime.fibers();
        ASSERT_EQ(fibers.size(), 2U);  // and this one
        EXPECT_EQ(fibers[1].name, "ready");
        EXPECT_EQ(fibers[1].state, FiberInfo::State::ready);
    });
}

TEST(Session, InATurnIsReportedByItsFiber) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    Parker gate;
    runtime.run([&] {
        start_turns(test::make_eventfd(), alive,
                    [](IoSource&, Result<void>) { return NextTurn::none(); }, {.name = "first"});
        this_fiber::yield();
        start_turns(test::make_eventfd(), alive,
                    [&](IoSource&, Result<void>) {
                        EXPECT_TRUE(gate.park(soon()));
                        return NextTurn::none();
                    },
                    {.name = "second"});
        this_fiber::yield();
    });
    ASSERT_TRUE(holds_before(soon(), [&] { return runtime.fibers().size() == 1; }));
    EXPECT_EQ(runtime.fibers().front().name, "second");
    gate.unpark();
    EXPECT_TRUE(has_ended(alive));
}

TEST(Session, ARequestToStopIsNotForThoseThatStartLater) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    auto [ours, theirs] = test::make_socket_pair();
    auto [other, end_of_other] = test::make_socket_pair();
    runtime.run([&, end = std::move(theirs)]() mutable {
        start_turns(std::move(end), alive, [](IoSource& source, Result<void> waited) {
            return waited ? echo(source, waited) : NextTurn::none();
        });
    });
    EXPECT_EQ(ask(ours.get(), "x"), "x");
    runtime.request_stop();
    EXPECT_TRUE(has_ended(alive));
    runtime.run([&, end = std::move(end_of_other)]() mutable {
        start_turns(std::move(end), alive, [](IoSource& source, Result<void> waited) {
            EXPECT_FALSE(this_fiber::stop_requested());
            return echo(source, waited);
        });
    });
    EXPECT_EQ(ask(other.get(), "y"), "y");
    other.reset();
    EXPECT_TRUE(has_ended(alive));
}

}  // namespace
}  // namespace coir
