#include "coir/sync/recursive_mutex.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

TEST(RecursiveMutex, IsFreeWhenItHasBeenUnlockedAsOftenAsLocked) {
    Runtime runtime({.workers = 2});
    RecursiveMutex mutex;
    mutex.lock();
    ASSERT_TRUE(mutex.try_lock());
    ASSERT_TRUE(mutex.try_lock_for(0ms));
    ASSERT_TRUE(mutex.lock_until(soon()));
    auto other = runtime.spawn([&] {
        EXPECT_FALSE(mutex.try_lock());
        const std::lock_guard lock(mutex);
    });
    for (int i = 0; i != 3; ++i) {
        mutex.unlock();
    }
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a mutex"));
    mutex.unlock();
    other.join();
    std::thread([&] { const std::unique_lock lock(mutex, 1ms); }).join();
}

TEST(RecursiveMutex, BelongsToTheFiberOnWhateverThreadItRuns) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        RecursiveMutex mutex;
        for (int round = 0; round != 50; ++round) {
            const std::lock_guard outer(mutex);
            const int other = (this_worker::index() + 1) % 2;
            // Who ends a joined fiber takes the joining one over.
            spawn({.worker = other, .pinned = true}, [] { this_fiber::sleep_for(20us); }).join();
            const std::lock_guard inner(mutex);
        }
        EXPECT_TRUE(spawn([&] { return mutex.try_lock() && (mutex.unlock(), true); }).join());
    });
}

TEST(RecursiveMutex, AFailedLockLeavesItsDepthAsItWas) {
    Runtime runtime({.workers = 1});
    RecursiveMutex mutex;
    mutex.lock();
    runtime.run([&] { EXPECT_FALSE(mutex.lock_until(Deadline::after(1ms))); });
    mutex.unlock();
    EXPECT_TRUE(runtime.run([&] { return mutex.try_lock() && (mutex.unlock(), true); }));
}

}  // namespace
}  // namespace coir
