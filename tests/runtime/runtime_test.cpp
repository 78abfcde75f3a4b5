#include "coir/runtime/runtime.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/give_way.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(Runtime, RunReturnsTheValueOfItsMainFiber) {
    Runtime runtime({.workers = 2});
    EXPECT_EQ(runtime.run([] { return 42; }), 42);
}

TEST(Runtime, RunRethrowsTheExceptionOfItsMainFiber) {
    Runtime runtime({.workers = 2});
    EXPECT_THROW(runtime.run([] { throw std::runtime_error("boom"); }), std::runtime_error);
}

TEST(Runtime, ItsFibersHaveStacksOfTheLeastSizeAtLeast) {
    // 0 used to end in a division by zero, and a page in a callable that is too large for it.
    for (const std::size_t bytes : {0U, 1U, 4096U}) {
        Runtime runtime({.workers = 1, .stack_bytes = bytes});
        EXPECT_EQ(runtime.run([] { return 1; }), 1);
        EXPECT_EQ(runtime.run([] { return spawn({.stack_bytes = 1}, [] { return 2; }).join(); }),
                  2);
    }
}

TEST(Runtime, CanBeMadeAndStoppedManyTimesInOneProcess) {
    for (int i = 0; i != 50; ++i) {
        Runtime runtime({.workers = 3});
        EXPECT_EQ(runtime.run([i] { return spawn([i] { return i; }).join(); }), i);
    }
}

TEST(Runtime, TwoRuntimesLiveSideBySide) {
    Runtime first({.workers = 2});
    Runtime second({.workers = 2});
    EXPECT_EQ(first.run([&] { return second.run([] { return 1; }) + 1; }), 2);
}

TEST(Runtime, StopWaitsForFibersThatAreStillRunning) {
    std::atomic<int> ended{0};
    {
        Runtime runtime({.workers = 2});
        runtime.run([&] {
            for (int i = 0; i != 100; ++i) {
                spawn([&] {
                    this_fiber::sleep_for(20ms);
                    ++ended;
                }).detach();
            }
        });
    }
    EXPECT_EQ(ended, 100);
}

TEST(Runtime, RefusesToSpawnAfterStop) {
    Runtime runtime({.workers = 1});
    runtime.stop();
    EXPECT_THROW(runtime.run([] {}), std::system_error);
}

TEST(Runtime, CountsWhatItSpawnedAndWhatHasEnded) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        for (int i = 0; i != 1000; ++i) {
            spawn([] { this_fiber::yield(); }).join();
        }
    });
    runtime.stop();
    const RuntimeStats stats = runtime.stats();
    EXPECT_EQ(stats.spawned, 1001U);
    EXPECT_EQ(stats.alive(), 0U);
    EXPECT_GE(stats.switches, 1001U);
}

TEST(Runtime, UsableCpusIsAtLeastOneAndNotMoreThanTheMachineHas) {
    EXPECT_GE(usable_cpus(), 1U);
    EXPECT_LE(usable_cpus(), std::max(1U, std::thread::hardware_concurrency()));
}

TEST(Runtime, PinnedWorkersStayOnOneProcessorEach) {
    const auto processors = [] {
        cpu_set_t set;
        EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
        return CPU_COUNT(&set);
    };
    const int before = processors();
    Runtime runtime({.workers = 3, .pin_workers = true});
    for (int worker = 0; worker != 3; ++worker) {
        EXPECT_EQ(runtime.spawn({.worker = worker, .pinned = true}, processors).join(), 1);
    }
    EXPECT_EQ(processors(), before);
}

TEST(Spawn, FromAPlainThreadOutsideARuntimeIsAnError) {
    EXPECT_THROW(
        {
            try {
                (void)spawn([] {});
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.code(), Errc::not_a_fiber);
                throw;
            }
        },
        std::system_error);
}

TEST(Spawn, JoinReturnsValuesThatCanOnlyBeMoved) {
    Runtime runtime({.workers = 2});
    const auto text = runtime.run([] {
        auto handle = spawn(
            [text = std::make_unique<std::string>("moved")]() mutable { return std::move(text); });
        return handle.join();
    });
    EXPECT_EQ(*text, "moved");
}

TEST(Spawn, JoinRethrowsOnTheJoiningFiber) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto handle = spawn([]() -> int { throw std::out_of_range("far"); });
        EXPECT_THROW((void)handle.join(), std::out_of_range);
    });
}

// The callable used to be destroyed after join() had returned, in the joiner's dead frame.
TEST(Spawn, JoinReturnsAfterTheCallableHasBeenDestroyed) {
    Runtime runtime({.workers = 2});
    for (int round = 0; round != 20; ++round) {
        std::atomic<bool> destroyed{false};
        auto guard = std::shared_ptr<void>(nullptr, [&](void*) {
            std::this_thread::sleep_for(2ms);
            destroyed = true;
        });
        runtime.spawn([guard = std::move(guard)] {}).join();
        EXPECT_TRUE(destroyed);
    }
}

// A worker that saw the request to stop early freed its scheduler under the stopping thread.
TEST(Runtime, CanBeStoppedRightAfterItHasStarted) {
    for (int round = 0; round != 300; ++round) {
        Runtime runtime({.workers = 2});
    }
}

TEST(Spawn, HandleAsksItsFiberToStopAndJoinsItInItsDestructor) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        std::atomic<bool> ended{false};
        {
            auto handle = spawn([&] {
                EXPECT_EQ(this_fiber::sleep_for(1h), std::errc::operation_canceled);
                std::this_thread::sleep_for(10ms);
                ended = true;
            });
        }
        EXPECT_TRUE(ended);
    });
}

TEST(Spawn, PinnedFibersStayOnTheirWorker) {
    Runtime runtime({.workers = 3});
    runtime.run([] {
        std::vector<test::JoinedFiber<void>> handles;
        for (int i = 0; i != 30; ++i) {
            const int home = i % 3;
            handles.push_back(spawn({.worker = home, .pinned = true}, [home] {
                for (int round = 0; round != 200; ++round) {
                    EXPECT_EQ(this_worker::index(), home);
                    test::give_way(round % 10 == 0, 100us);
                }
            }));
        }
    });
}

TEST(Spawn, ACallableLargerThanTheStackAllowsIsAnError) {
    Runtime runtime({.workers = 1});
    struct Large {
        char bytes[64 * 1024];
    };
    auto large = std::make_unique<Large>();
    EXPECT_THROW(
        {
            auto handle =
                runtime.spawn({.stack_bytes = 16 * 1024}, [copy = *large] { (void)copy; });
        },
        std::system_error);
    EXPECT_EQ(runtime.run([] { return 1; }), 1);
}

// Its size in whole pages was 0, and by that the address was divided.
TEST(Spawn, AStackLargerThanTheAddressSpaceIsAnError) {
    Runtime runtime({.workers = 1});
    for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 64, SIZE_MAX / 1024}) {
        try {
            runtime.spawn({.stack_bytes = bytes}, [] {}).join();
            ADD_FAILURE() << bytes;
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::not_enough_memory) << bytes;
        }
    }
}

TEST(Spawn, RecursionAsDeepAsTheStackAllowsWorks) {
    Runtime runtime({.workers = 2});
    struct Recursion {
        static int depth(int left) {
            volatile char page[1024];
            page[0] = static_cast<char>(left);
            return left == 0 ? 0 : 1 + depth(left - 1) + (page[0] - page[0]);
        }
    };
    const int reached = runtime.run([] {
        return spawn({.stack_bytes = 1 << 20}, [] { return Recursion::depth(400); }).join();
    });
    EXPECT_EQ(reached, 400);
}

TEST(SpawnDeathTest, AnExceptionThatLeavesADetachedFiberEndsTheProgram) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Runtime runtime({.workers = 1});
            runtime.run(
                [] { spawn([] { throw std::runtime_error("nobody sees this"); }).detach(); });
        },
        "");
}

TEST(ThisFiber, SleepsAtLeastAsLongAsAsked) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        const auto begin = Clock::now();
        this_fiber::sleep_for(5ms);
        EXPECT_GE(Clock::now() - begin, 5ms);
    });
}

// The distance between now and the clock's beginning did not fit, and became a long time.
TEST(ThisFiber, ASleepThatEndsBeforeTheClockBeginsIsOver) {
    Runtime runtime({.workers = 1});
    auto sleeper = runtime.spawn([] {
        EXPECT_FALSE(this_fiber::sleep_for(std::chrono::nanoseconds::min()));
        EXPECT_FALSE(this_fiber::sleep_until(Deadline::at(Clock::time_point::min())));
        EXPECT_FALSE(this_fiber::sleep_until(Deadline::at(Clock::time_point::min() + 1ns)));
    });
    EXPECT_TRUE(sleeper.wait(test::soon()));
}

TEST(ThisFiber, YieldLetsTheOtherFibersRun) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        std::string order;
        auto other = spawn([&] {
            for (int i = 0; i != 3; ++i) {
                order += 'b';
                this_fiber::yield();
            }
        });
        for (int i = 0; i != 3; ++i) {
            order += 'a';
            this_fiber::yield();
        }
        other.join();
        EXPECT_EQ(order, "ababab");
    });
}

TEST(ThisFiber, IdsAreDistinctAndZeroOutside) {
    EXPECT_EQ(this_fiber::id(), 0U);
    EXPECT_EQ(this_worker::index(), -1);
    Runtime runtime({.workers = 1});
    runtime.run([] {
        const auto other = spawn([] { return this_fiber::id(); }).join();
        EXPECT_NE(this_fiber::id(), 0U);
        EXPECT_NE(this_fiber::id(), other);
    });
}

TEST(Fairness, AYieldLoopDoesNotKeepTimersWaiting) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        std::atomic<bool> done{false};
        auto busy = spawn([&] {
            while (!done) {
                this_fiber::yield();
            }
        });
        const auto begin = Clock::now();
        this_fiber::sleep_for(5ms);
        EXPECT_LT(Clock::now() - begin, 100ms);
        done = true;
        busy.join();
    });
}

}  // namespace
}  // namespace coir
