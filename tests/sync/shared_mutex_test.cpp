#include "coir/sync/shared_mutex.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/latch.hpp"
#include "support/joined_fiber.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

constexpr const char* kToRead = "a shared mutex, to read";
constexpr const char* kToWrite = "a shared mutex, to write";

class SharedMutexOnWorkers : public test::OnWorkers {};
INSTANTIATE_TEST_SUITE_P(Workers, SharedMutexOnWorkers, testing::Values(1, 2, 4));

TEST_P(SharedMutexOnWorkers, AWriterIsAlone) {
    run([] {
        SharedMutex mutex;
        long written = 0;
        bool is_writing = false;
        std::atomic<int> reading{0};
        std::atomic<bool> violated{false};
        {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != 12; ++i) {
                fibers.push_back(spawn({.worker = i % this_worker::count()}, [&, i] {
                    for (int round = 0; round != 200; ++round) {
                        if ((i + round) % 4 == 0) {
                            const std::unique_lock lock(mutex);
                            violated = violated || is_writing || reading != 0;
                            is_writing = true;
                            ++written;
                            if (round % 8 == 0) {
                                this_fiber::yield();
                            }
                            is_writing = false;
                        } else {
                            const std::shared_lock lock(mutex);
                            ++reading;
                            violated = violated || is_writing;
                            this_fiber::yield();
                            --reading;
                        }
                    }
                }));
            }
        }
        EXPECT_FALSE(violated);
        EXPECT_EQ(written, 600);
    });
}

TEST_P(SharedMutexOnWorkers, ReadersAreTogether) {
    run([] {
        constexpr int kReaders = 10;
        SharedMutex mutex;
        Latch all_read(kReaders);
        std::vector<test::JoinedFiber<Result<void>>> fibers;
        mutex.lock();
        for (int i = 0; i != kReaders; ++i) {
            fibers.push_back(spawn({.worker = i % this_worker::count()}, [&] {
                const std::shared_lock lock(mutex);
                all_read.count_down();
                return all_read.wait_until(soon());
            }));
        }
        this_fiber::yield();
        mutex.unlock();
        for (auto& fiber : fibers) {
            EXPECT_TRUE(fiber.join());
        }
    });
}

TEST(SharedMutex, TryFunctionsSayWhetherItCanBeHad) {
    SharedMutex mutex;
    ASSERT_TRUE(mutex.try_lock_shared());
    EXPECT_TRUE(mutex.try_lock_shared());
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_FALSE(mutex.try_lock_for(1ms));
    mutex.unlock_shared();
    mutex.unlock_shared();
    ASSERT_TRUE(mutex.try_lock_until(Deadline::Clock::now()));
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_FALSE(mutex.try_lock_shared());
    std::thread other([&] {
        EXPECT_FALSE(mutex.try_lock_shared_for(1ms));
        EXPECT_FALSE(mutex.try_lock_shared_until(Deadline::Clock::now()));
    });
    other.join();
    mutex.unlock();
    const std::shared_lock lock(mutex, 1ms);
    EXPECT_TRUE(lock.owns_lock());
}

TEST(SharedMutex, AWaitingWriterKeepsNewReadersOut) {
    Runtime runtime({.workers = 1});
    SharedMutex mutex;
    mutex.lock_shared();
    auto writer = runtime.spawn([&] { const std::unique_lock lock(mutex); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kToWrite));
    EXPECT_FALSE(mutex.try_lock_shared());
    auto reader = runtime.spawn([&] { const std::shared_lock lock(mutex); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kToRead));
    mutex.unlock_shared();
    writer.join();
    reader.join();
}

TEST(SharedMutex, AWriterThatGivesUpLetsReadersIn) {
    Runtime runtime({.workers = 1});
    SharedMutex mutex;
    mutex.lock_shared();
    auto writer = runtime.spawn([&] { return mutex.lock_until(soon()).error(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kToWrite));
    auto reader = runtime.spawn([&] { const std::shared_lock lock(mutex); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kToRead));
    writer.request_stop();
    EXPECT_EQ(writer.join(), std::errc::operation_canceled);
    reader.join();
    mutex.unlock_shared();
}

TEST(SharedMutex, WritersGoFirstButReadersDoNotWaitForEver) {
    Runtime runtime({.workers = 1});
    SharedMutex mutex;
    std::vector<char> order;  // one worker, and under the mutex
    mutex.lock();
    test::JoinedFiber reader = runtime.spawn([&] {
        const std::shared_lock lock(mutex);
        order.push_back('r');
    });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kToRead));
    std::vector<test::JoinedFiber<void>> writers;
    for (int i = 0; i != 6; ++i) {
        writers.push_back(runtime.spawn([&] {
            const std::unique_lock lock(mutex);
            order.push_back('w');
        }));
    }
    ASSERT_TRUE(test::wait_for_waiting(runtime, kToWrite, 6));
    mutex.unlock();
    reader.join();
    writers.clear();
    EXPECT_EQ(std::string(order.begin(), order.end()), "wwwwrww");
}

TEST(SharedMutex, LockedAgainByItsWriterIsAnError) {
    SharedMutex mutex;
    const std::unique_lock lock(mutex);
    const auto is_deadlock = [](auto locking) {
        try {
            locking();
        } catch (const std::system_error& error) {
            return error.code() == std::errc::resource_deadlock_would_occur;
        }
        return false;
    };
    EXPECT_TRUE(is_deadlock([&] { mutex.lock(); }));
    EXPECT_TRUE(is_deadlock([&] { mutex.lock_shared(); }));
}

}  // namespace
}  // namespace coir
