#include "coir/sync/mutex.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

class MutexOnWorkers : public testing::TestWithParam<std::size_t> {
protected:
    template <typename F>
    void run(F body) {
        Runtime runtime({.workers = GetParam()});
        runtime.run(std::move(body));
    }
};

INSTANTIATE_TEST_SUITE_P(Workers, MutexOnWorkers, testing::Values(1, 2, 4));

/// Counts without atomics, so that two at a time lose something, and TSan sees it.
struct Counted {
    Mutex mutex;
    long count = 0;
    bool occupied = false;
    bool violated = false;

    template <typename F>
    void enter(F inside) {
        const std::lock_guard lock(mutex);
        violated = violated || occupied;
        occupied = true;
        inside();
        ++count;
        occupied = false;
    }
};

TEST_P(MutexOnWorkers, OneFiberAtATimeIsInside) {
    run([] {
        Counted counted;
        {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != 40; ++i) {
                fibers.push_back(spawn({.worker = i % this_worker::count()}, [&] {
                    for (int round = 0; round != 500; ++round) {
                        counted.enter([] {});
                        if (round % 16 == 0) {
                            this_fiber::yield();
                        }
                    }
                }));
            }
        }
        EXPECT_EQ(counted.count, 20'000);
        EXPECT_FALSE(counted.violated);
    });
}

TEST_P(MutexOnWorkers, CanBeHeldAcrossASuspension) {
    run([] {
        Counted counted;
        {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != 20; ++i) {
                fibers.push_back(spawn({.worker = i % this_worker::count()}, [&, i] {
                    for (int round = 0; round != 20; ++round) {
                        counted.enter([&] {
                            switch ((i + round) % 3) {
                                case 0: this_fiber::yield(); break;
                                case 1: this_fiber::sleep_for(20us); break;
                                default: spawn([] { this_fiber::yield(); }).join();
                            }
                        });
                    }
                }));
            }
        }
        EXPECT_EQ(counted.count, 400);
        EXPECT_FALSE(counted.violated);
    });
}

TEST_P(MutexOnWorkers, CanBeUnlockedOnAnotherWorkerThanItWasLockedOn) {
    run([] {
        Mutex mutex;
        int moves = 0;
        for (int round = 0; round != 50; ++round) {
            std::unique_lock lock(mutex);
            const int before = this_worker::index();
            auto contender = spawn({.worker = before}, [&] { const std::lock_guard inner(mutex); });
            const int other = (before + 1) % this_worker::count();
            // Who ends a joined fiber takes the joining one over.
            spawn({.worker = other, .pinned = true}, [] { this_fiber::sleep_for(20us); }).join();
            moves += this_worker::index() != before;
            lock.unlock();
            contender.join();
        }
        if (this_worker::count() > 1) {
            EXPECT_GT(moves, 0);
        }
    });
}

TEST_P(MutexOnWorkers, TryLockSaysWhetherItWasFree) {
    run([] {
        Mutex mutex;
        ASSERT_TRUE(mutex.try_lock());
        EXPECT_FALSE(spawn([&] { return mutex.try_lock(); }).join());
        mutex.unlock();
        EXPECT_TRUE(spawn([&] {
                        const bool locked = mutex.try_lock();
                        if (locked) {
                            mutex.unlock();
                        }
                        return locked;
                    }).join());
    });
}

TEST_P(MutexOnWorkers, TryLockDoesNotSuspend) {
    run([] {
        Mutex mutex;
        bool other_ran = false;
        auto other = spawn({.worker = this_worker::index()}, [&] { other_ran = true; });
        const bool locked = mutex.try_lock();
        EXPECT_TRUE(locked);
        if (this_worker::count() == 1) {
            EXPECT_FALSE(other_ran);
        }
        mutex.unlock();
        other.join();
    });
}

TEST_P(MutexOnWorkers, TryLockUntilGivesUpAtItsDeadline) {
    run([] {
        Mutex mutex;
        std::unique_lock lock(mutex);
        auto waiter = spawn([&] {
            const auto begin = Deadline::Clock::now();
            EXPECT_FALSE(mutex.try_lock_until(Deadline::at(begin + 5ms)));
            EXPECT_GE(Deadline::Clock::now() - begin, 5ms);
        });
        waiter.join();
        lock.unlock();
        EXPECT_TRUE(mutex.try_lock_until(Deadline::after(0ms)));
        mutex.unlock();
    });
}

TEST_P(MutexOnWorkers, TimeoutsAndUnlocksAtOnceLoseNothing) {
    run([] {
        Counted counted;
        std::atomic<int> entered{0};
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != 16; ++i) {
            fibers.push_back(spawn({.worker = i % this_worker::count()}, [&, i] {
                for (int round = 0; round != 1000; ++round) {
                    // Around the time for which the mutex is held, in whole ticks of the timers.
                    if (counted.mutex.try_lock_until(Deadline::after(1ms * (round % 3)))) {
                        const std::unique_lock lock(counted.mutex, std::adopt_lock);
                        ++entered;
                        ++counted.count;
                        if ((round + i) % 64 == 0) {
                            this_fiber::sleep_for(500us);
                        }
                    }
                }
            }));
        }
        fibers.clear();
        EXPECT_EQ(counted.count, entered);
        EXPECT_GT(entered, 0);
        EXPECT_TRUE(counted.mutex.try_lock());
        counted.mutex.unlock();
    });
}

TEST_P(MutexOnWorkers, NobodyWaitsForEver) {
    // Two take it back at once whenever they have let it go; who waits behind them gets it as well.
    run([] {
        Mutex mutex;
        std::atomic<bool> done{false};
        std::vector<test::JoinedFiber<void>> greedy;
        for (int i = 0; i != 2; ++i) {
            greedy.push_back(spawn({.worker = i % this_worker::count()}, [&] {
                while (!done) {
                    const std::lock_guard lock(mutex);
                    this_fiber::yield();
                }
            }));
        }
        for (int round = 0; round != 100; ++round) {
            ASSERT_TRUE(mutex.try_lock_until(soon()));
            mutex.unlock();
        }
        done = true;
    });
}

TEST_P(MutexOnWorkers, MayBeDestroyedByWhoWasWokenByItsLastUnlock) {
    run([] {
        for (int round = 0; round != 2000; ++round) {
            auto mutex = std::make_unique<Mutex>();
            Mutex& used = *mutex;
            used.lock();
            auto heir = spawn({.worker = this_worker::count() - 1}, [&mutex] {
                mutex->lock();
                mutex->unlock();
                mutex.reset();
            });
            if (round % 2 == 0) {
                this_fiber::yield();
            }
            used.unlock();
            heir.join();
        }
    });
}

TEST_P(MutexOnWorkers, AFiberThatWaitsLetsOthersRun) {
    run([] {
        Mutex mutex;
        std::unique_lock lock(mutex);
        auto waiting = spawn([&] { const std::lock_guard inner(mutex); });
        spawn([] { this_fiber::yield(); }).join();
        this_fiber::sleep_for(1ms);
        EXPECT_FALSE(waiting.is_done());
        lock.unlock();
        waiting.join();
    });
}

TEST(Mutex, LockedTwiceByOneFiberIsAnError) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        Mutex mutex;
        const std::lock_guard lock(mutex);
        try {
            mutex.lock();
            FAIL() << "nothing was thrown";
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::resource_deadlock_would_occur);
        }
    });
}

TEST(Mutex, ExcludesFibersOfTwoRuntimesAndPlainThreadsFromEachOther) {
    Runtime first({.workers = 2});
    Runtime second({.workers = 2});
    Counted counted;
    const auto work = [&] {
        for (int round = 0; round != 1000; ++round) {
            counted.enter([] {});
        }
    };
    {
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != 4; ++i) {
            fibers.push_back(first.spawn(work));
            fibers.push_back(second.spawn(work));
        }
        std::thread thread(work);
        work();
        thread.join();
    }
    EXPECT_EQ(counted.count, 10'000);
    EXPECT_FALSE(counted.violated);
}

}  // namespace
}  // namespace coir
