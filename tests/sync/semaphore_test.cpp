#include "coir/sync/semaphore.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/joined_fiber.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

class SemaphoreOnWorkers : public test::OnWorkers {};
INSTANTIATE_TEST_SUITE_P(Workers, SemaphoreOnWorkers, testing::Values(1, 2, 4));

TEST(Semaphore, HasThePermitsItWasGiven) {
    Semaphore semaphore(3);
    semaphore.acquire(2);
    EXPECT_FALSE(semaphore.try_acquire(2));
    EXPECT_TRUE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.try_acquire());
    semaphore.release(2);
    EXPECT_TRUE(semaphore.try_acquire_until(Deadline::Clock::now()));
    EXPECT_TRUE(semaphore.try_acquire_for(0ms));
    EXPECT_FALSE(semaphore.try_acquire_for(1ms));
    EXPECT_TRUE(semaphore.try_acquire(0));
}

TEST_P(SemaphoreOnWorkers, LetsInAsManyAsItHasPermits) {
    run([] {
        constexpr int kPermits = 3;
        Semaphore semaphore(kPermits);
        std::atomic<int> inside{0};
        std::atomic<int> most{0};
        {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != 20; ++i) {
                fibers.push_back(spawn({.worker = i % this_worker::count()}, [&] {
                    for (int round = 0; round != 100; ++round) {
                        semaphore.acquire();
                        const int now = ++inside;
                        for (int before = most; before < now;) {
                            most.compare_exchange_weak(before, now);
                        }
                        if (round % 8 == 0) {
                            this_fiber::yield();
                        }
                        --inside;
                        semaphore.release();
                    }
                }));
            }
        }
        EXPECT_LE(most, kPermits);
        EXPECT_GT(most, 0);
        EXPECT_TRUE(semaphore.try_acquire(kPermits));
    });
}

TEST(Semaphore, WhoWantsManyIsNotPassedByThoseWhoWantFew) {
    Runtime runtime({.workers = 1});
    Semaphore semaphore(2);
    auto large = runtime.spawn([&] { semaphore.acquire(3); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a semaphore"));
    EXPECT_FALSE(semaphore.try_acquire()) << "two are there, but somebody waits for them";
    auto small = runtime.spawn([&] { semaphore.acquire(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a semaphore", 2));
    semaphore.release();
    large.join();
    EXPECT_FALSE(small.is_done());
    semaphore.release();
    small.join();
}

TEST(Semaphore, WhoGivesUpLetsThoseBehindItHaveWhatIsThere) {
    Runtime runtime({.workers = 1});
    Semaphore semaphore(1);
    auto large = runtime.spawn([&] { return semaphore.acquire_until(2, soon()).error(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a semaphore"));
    auto small = runtime.spawn([&] { return semaphore.acquire_until(soon()); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a semaphore", 2));
    large.request_stop();
    EXPECT_EQ(large.join(), std::errc::operation_canceled);
    EXPECT_TRUE(small.join());
}

TEST(Semaphore, OneReleaseServesSeveral) {
    Runtime runtime({.workers = 2});
    Semaphore semaphore(0);
    auto first = runtime.spawn([&] { semaphore.acquire(1); });
    auto second = runtime.spawn([&] { semaphore.acquire(2); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a semaphore", 2));
    semaphore.release(4);
    first.join();
    second.join();
    EXPECT_TRUE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.try_acquire());
}

TEST(SemaphoreDeathTest, RefusesMorePermitsThanItCanCount) {
    Semaphore semaphore(Semaphore::max());
    EXPECT_DEATH(semaphore.release(), "count <=");
}

}  // namespace
}  // namespace coir
