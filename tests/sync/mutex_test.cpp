#include "coir/sync/mutex.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;

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
            std::vector<FiberHandle<void>> fibers;
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
            std::vector<FiberHandle<void>> fibers;
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
        std::vector<FiberHandle<void>> fibers;
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
