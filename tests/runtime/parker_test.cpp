#include "coir/runtime/parker.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

TEST(Parker, KeepsOneUnparkThatCameFirst) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        Parker parker;
        parker.unpark();
        parker.unpark();
        EXPECT_TRUE(parker.park(soon()));
        EXPECT_EQ(parker.park(Deadline::after(2ms)).error(), std::errc::timed_out);
    });
}

TEST(Parker, WakesAFiberFromAFiberAndFromAThread) {
    Runtime runtime({.workers = 2});
    for (const bool from_thread : {false, true}) {
        Parker parker;
        auto sleeper = runtime.spawn([&] { return parker.park(soon()).has_value(); });
        if (from_thread) {
            parker.unpark();
        } else {
            runtime.run([&] { parker.unpark(); });
        }
        EXPECT_TRUE(sleeper.join());
    }
}

TEST(Parker, WakesAPlainThread) {
    Runtime runtime({.workers = 1});
    Parker parker;
    EXPECT_EQ(parker.park(Deadline::after(2ms)).error(), std::errc::timed_out);
    test::JoinedFiber waker = runtime.spawn([&] {
        this_fiber::sleep_for(2ms);
        parker.unpark();
    });
    EXPECT_TRUE(parker.park(Deadline::never()));
}

TEST(Parker, IsNeverEarly) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        Parker parker;
        for (const auto wait : {0ms, 1ms, 3ms, 10ms}) {
            const auto begin = Clock::now();
            EXPECT_EQ(parker.park(Deadline::at(begin + wait)).error(), std::errc::timed_out);
            EXPECT_GE(Clock::now() - begin, wait);
        }
    });
}

TEST(Parker, ADeadlineOfAnEarlierWaitDoesNotEndALaterOne) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        Parker parker;
        parker.unpark();
        EXPECT_TRUE(parker.park(soon()));
        EXPECT_EQ(parker.park(Deadline::after(1ms)).error(), std::errc::timed_out);
        test::JoinedFiber waker = spawn([&] {
            this_fiber::sleep_for(20ms);
            parker.unpark();
        });
        EXPECT_TRUE(parker.park(Deadline::never()));
    });
}

TEST(Parker, ADeadlineOfAFibersWaitDoesNotEndAThreads) {
    Runtime runtime({.workers = 1});
    Parker parker;
    auto sleeper = runtime.spawn([&] { return parker.park(Deadline::after(50ms)).has_value(); });
    parker.unpark();
    EXPECT_TRUE(sleeper.join());
    test::JoinedFiber waker = runtime.spawn([&] {
        this_fiber::sleep_for(150ms);
        parker.unpark();
    });
    EXPECT_TRUE(parker.park(Deadline::never()));
}

TEST(Parker, EveryUnparkIsHeardWhileDeadlinesPass) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        // Ping-pong in which one side keeps timing out: a lost token stops it for good.
        Parker ping;
        Parker pong;
        test::JoinedFiber other = spawn({.worker = 1}, [&] {
            for (int i = 0; i != 3000; ++i) {
                ASSERT_TRUE(ping.park(soon()));
                pong.unpark();
            }
        });
        const Deadline patience = soon();
        for (int i = 0; i != 3000; ++i) {
            ping.unpark();
            while (!pong.park(Deadline::at(Clock::now()))) {
                ASSERT_FALSE(patience.has_passed(Clock::now()));
            }
        }
    });
}

TEST(Parker, MayBeDestroyedByWhomItWakes) {
    Runtime runtime({.workers = 2});
    for (int round = 0; round != 1000; ++round) {
        auto parker = std::make_unique<Parker>();
        Parker& used = *parker;
        auto sleeper = runtime.spawn([&parker] {
            ASSERT_TRUE(parker->park(soon()));
            parker.reset();
        });
        used.unpark();
        sleeper.join();
    }
}

#ifndef NDEBUG
TEST(ParkerDeathTest, RefusesToEndWhileAFiberWaits) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Runtime runtime({.workers = 1});
            runtime.run([] {
                std::optional<Parker> parker(std::in_place);
                auto waiter = spawn([&] { (void)parker->park(Deadline::never()); });
                this_fiber::yield();  // until it waits
                parker.reset();       // its fiber was lost
            });
        },
        "holds_waiter");
}
#endif

}  // namespace
}  // namespace coir
