#include "coir/sync/condition_variable.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/give_way.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

class ConditionVariableOnWorkers : public testing::TestWithParam<std::size_t> {
protected:
    template <typename F>
    void run(F body) {
        Runtime runtime({.workers = GetParam()});
        runtime.run(std::move(body));
    }
};

INSTANTIATE_TEST_SUITE_P(Workers, ConditionVariableOnWorkers, testing::Values(1, 2, 4));

TEST_P(ConditionVariableOnWorkers, NotifyOneEndsAWait) {
    run([] {
        Mutex mutex;
        ConditionVariable changed;
        bool told = false;
        auto waiting = spawn([&] {
            std::unique_lock lock(mutex);
            return changed.wait_until(lock, soon(), [&] { return told; });
        });
        this_fiber::sleep_for(1ms);
        {
            const std::lock_guard lock(mutex);
            told = true;
        }
        changed.notify_one();
        EXPECT_TRUE(waiting.join());
    });
}

TEST_P(ConditionVariableOnWorkers, NotifyAllEndsEveryWait) {
    run([] {
        Mutex mutex;
        ConditionVariable changed;
        int waiting = 0;
        bool told = false;
        std::vector<test::JoinedFiber<Result<void>>> fibers;
        for (int i = 0; i != 50; ++i) {
            fibers.push_back(spawn({.worker = i % this_worker::count()}, [&] {
                std::unique_lock lock(mutex);
                ++waiting;
                return changed.wait_until(lock, soon(), [&] { return told; });
            }));
        }
        for (bool all = false; !all; this_fiber::yield()) {
            const std::lock_guard lock(mutex);
            all = waiting == 50;
            told = all;
        }
        changed.notify_all();
        for (auto& fiber : fibers) {
            EXPECT_TRUE(fiber.join());
        }
    });
}

TEST_P(ConditionVariableOnWorkers, WaitUntilEndsAtItsDeadlineAndHoldsTheLockAgain) {
    run([] {
        Mutex mutex;
        ConditionVariable never_told;
        std::unique_lock lock(mutex);
        const auto begin = Clock::now();
        EXPECT_FALSE(never_told.wait_until(lock, Deadline::after(5ms), [] { return false; }));
        EXPECT_GE(Clock::now() - begin, 5ms);
        EXPECT_TRUE(lock.owns_lock());
        EXPECT_FALSE(spawn([&] { return mutex.try_lock(); }).join());
    });
}

TEST_P(ConditionVariableOnWorkers, WaitUntilWithAPastDeadlineSaysSoAtOnce) {
    run([] {
        Mutex mutex;
        ConditionVariable never_told;
        std::unique_lock lock(mutex);
        EXPECT_FALSE(never_told.wait_until(lock, Deadline::at(Clock::now() - 1s)));
        EXPECT_TRUE(never_told.wait_until(lock, Deadline::at(Clock::now() - 1s), [] {
            return true;
        })) << "a predicate that holds needs no time";
        EXPECT_TRUE(lock.owns_lock());
    });
}

TEST_P(ConditionVariableOnWorkers, TimeoutsAndNotificationsMayRace) {
    // Whoever is notified or times out goes on, exactly once; a wake-up that comes late harms nobody.
    run([] {
        Mutex mutex;
        ConditionVariable changed;
        long tokens = 0;
        long taken = 0;
        long timeouts = 0;
        bool done = false;
        {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != 10; ++i) {
                fibers.push_back(spawn({.worker = i % this_worker::count()}, [&, i] {
                    std::unique_lock lock(mutex);
                    while (!done) {
                        if (changed.wait_until(lock, Deadline::after(i * 20us),
                                               [&] { return tokens > 0 || done; })) {
                            if (tokens > 0) {
                                --tokens;
                                ++taken;
                            }
                        } else {
                            ++timeouts;
                            lock.unlock();
                            this_fiber::yield();
                            lock.lock();
                        }
                    }
                }));
            }
            for (int round = 0; round != 500; ++round) {
                {
                    const std::lock_guard lock(mutex);
                    ++tokens;
                }
                changed.notify_one();
                test::give_way(round % 4 == 0, 50us);
            }
            const Deadline patience = soon();
            for (bool all = false; !all; this_fiber::sleep_for(100us)) {
                const std::lock_guard lock(mutex);
                all = tokens == 0 || patience.has_passed(Clock::now());
                done = all;
            }
            changed.notify_all();
        }
        EXPECT_EQ(taken, 500);
        EXPECT_GT(timeouts, 0);
    });
}

TEST(ConditionVariable, WakesFibersFromPlainThreadsAndPlainThreadsFromFibers) {
    Runtime runtime({.workers = 2});
    Mutex mutex;
    ConditionVariable changed;
    int turn = 0;
    const auto play = [&](int mine) {
        for (int round = 0; round != 200; ++round) {
            std::unique_lock lock(mutex);
            ASSERT_TRUE(changed.wait_until(lock, soon(), [&] { return turn % 2 == mine; }));
            ++turn;
            changed.notify_all();
        }
    };
    auto fiber = runtime.spawn([&] { play(0); });
    std::thread thread([&] { play(1); });
    thread.join();
    fiber.join();
    EXPECT_EQ(turn, 400);
}

}  // namespace
}  // namespace coir
