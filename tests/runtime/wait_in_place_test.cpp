#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <thread>
#include <utility>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/runtime/time_limit.hpp"
#include "coir/sync/event.hpp"
#include "runtime/descriptors.hpp"
#include "support/patience.hpp"

// The only worker of a runtime may sleep on the stack of the fiber that has just come to wait, if nobody
// else can run. Whoever ends the wait must not notice, nor the fibers beside it. The parameter is the size of
// the stack: on a small one with little left it does not.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

class WaitInPlace : public testing::TestWithParam<std::size_t> {
protected:
    /// The only fiber there is: waits for the source and says what came of it.
    [[nodiscard]] auto waiting_fiber(Deadline deadline = soon()) {
        return runtime_.spawn([this, deadline] { return source_.wait_readable(deadline).error(); });
    }
    /// Returns when the worker sleeps, as far as one can tell from outside.
    void await_sleep() {
        while (runtime_.stats().waiting == 0) {
            std::this_thread::yield();
        }
        std::this_thread::sleep_for(2ms);
    }

    IoSource source_{test::make_eventfd()};
    Runtime runtime_{{.workers = 1, .stack_bytes = GetParam()}};
};

TEST_P(WaitInPlace, EndsWithAnEvent) {
    auto fiber = waiting_fiber();
    await_sleep();
    test::signal(source_.fd());
    EXPECT_FALSE(fiber.join());
}

TEST_P(WaitInPlace, EndsAtItsDeadline) {
    const auto begin = Deadline::Clock::now();
    EXPECT_EQ(waiting_fiber(Deadline::after(20ms)).join(), std::errc::timed_out);
    EXPECT_GE(Deadline::Clock::now() - begin, 20ms);
}

TEST_P(WaitInPlace, EndsWhenAThreadCancelsIt) {
    auto fiber = waiting_fiber();
    await_sleep();
    source_.cancel();
    EXPECT_EQ(fiber.join(), std::errc::operation_canceled);
}

TEST_P(WaitInPlace, EndsWhenAThreadAsksToStop) {
    auto fiber = waiting_fiber();
    await_sleep();
    runtime_.request_stop();
    EXPECT_EQ(fiber.join(), std::errc::operation_canceled);
}

TEST_P(WaitInPlace, LeavesTheWorkerToFibersFromOutside) {
    auto fiber = waiting_fiber();
    await_sleep();
    for (const bool pinned : {false, true}) {
        auto other =
            runtime_.spawn({.worker = 0, .pinned = pinned}, [] { return this_fiber::id(); });
        EXPECT_TRUE(other.wait(soon())) << pinned;
    }
    test::signal(source_.fd());
    EXPECT_FALSE(fiber.join());
}

TEST_P(WaitInPlace, IsForOneFiberAfterTheOther) {
    // Each wakes the other and comes to wait, and a thread wakes both at any moment.
    constexpr int kRounds = 2000;
    IoSource other(test::make_eventfd());
    const auto play = [](IoSource& own, IoSource& others) {
        for (int round = 0; round != kRounds; ++round) {
            test::signal(others.fd());
            if (!own.wait_readable(soon())) {
                return round;
            }
            (void)test::take_signals(own.fd());
        }
        return kRounds;
    };
    auto first = runtime_.spawn([&] { return play(source_, other); });
    auto second =
        runtime_.spawn({.worker = 0, .pinned = true}, [&] { return play(other, source_); });
    while (!first.wait(Deadline::after(100us)) || !second.wait(Deadline::after(100us))) {
        test::signal(source_.fd());
        test::signal(other.fd());
    }
    EXPECT_EQ(first.join(), kRounds);
    EXPECT_EQ(second.join(), kRounds);
}

TEST_P(WaitInPlace, IsNotMissedByAThreadThatWakes) {
    // The moments in which the worker is about to sleep, some thousand times.
    constexpr int kRounds = 5000;
    Event events[2];
    auto fiber = runtime_.spawn([&] {
        for (int round = 0; round != kRounds; ++round) {
            if (!events[round % 2].wait_until(soon())) {
                return round;
            }
            events[round % 2].reset();
            test::signal(source_.fd());
        }
        return kRounds;
    });
    for (int round = 0; round != kRounds; ++round) {
        events[round % 2].set();
        while (test::take_signals(source_.fd()) == 0) {
            std::this_thread::yield();
        }
    }
    EXPECT_EQ(fiber.join(), kRounds);
}

TEST_P(WaitInPlace, LeavesCallbacksToNoFiber) {
    // Else they would be the waiting fiber's: with its deadline, its locks and its stack.
    constexpr std::uint64_t kNobody = 0;
    std::atomic<std::uint64_t> hang_up_on{~kNobody};
    std::atomic<std::uint64_t> alarm_on{~kNobody};
    std::atomic<bool> is_ready{false};
    auto [ours, peer] = test::make_socket_pair();
    auto watching = runtime_.spawn([&, fd = std::move(ours)]() mutable {
        IoSource watched(std::move(fd));
        std::stop_source hang_up;
        const std::stop_callback told(hang_up.get_token(), [&] { hang_up_on = this_fiber::id(); });
        EXPECT_TRUE(watched.stop_on_hang_up(hang_up));
        TimeLimit& limit = TimeLimit::current();
        limit.begin(20ms);
        std::stop_source over;
        const std::stop_callback rings(over.get_token(), [&] { alarm_on = this_fiber::id(); });
        limit.stop_at_end(over);
        is_ready = true;
        {
            const this_fiber::Shield shield;
            EXPECT_TRUE(source_.wait_readable(soon()));
        }
        watched.forget_hang_up();
        (void)limit.end();
    });
    EXPECT_TRUE(test::holds_before(soon(), [&] { return is_ready.load(); }));
    peer.reset();
    EXPECT_TRUE(test::holds_before(
        soon(), [&] { return hang_up_on.load() == kNobody && alarm_on.load() == kNobody; }));
    test::signal(source_.fd());
    watching.join();
}

INSTANTIATE_TEST_SUITE_P(Stacks, WaitInPlace,
                         testing::Values(std::size_t{32} * 1024, std::size_t{128} * 1024));

}  // namespace
}  // namespace coir
