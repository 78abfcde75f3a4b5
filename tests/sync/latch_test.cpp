#include "coir/sync/latch.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "support/joined_fiber.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;

class LatchOnWorkers : public test::OnWorkers {};
INSTANTIATE_TEST_SUITE_P(Workers, LatchOnWorkers, testing::Values(1, 2, 4));

TEST_P(LatchOnWorkers, OpensWhenAllHaveArrived) {
    run([] {
        constexpr int kFibers = 30;
        Latch latch(kFibers + 1);
        std::atomic<int> arrived{0};
        {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != kFibers; ++i) {
                fibers.push_back(spawn([&] {
                    ++arrived;
                    latch.arrive_and_wait();
                    EXPECT_EQ(arrived, kFibers + 1);
                }));
            }
            std::thread thread([&] {
                ++arrived;
                latch.arrive_and_wait();
                EXPECT_EQ(arrived, kFibers + 1);
            });
            latch.wait();
            thread.join();
        }
        EXPECT_TRUE(latch.try_wait());
    });
}

TEST(Latch, CountsDownByMoreThanOne) {
    Latch latch(5);
    latch.count_down(3);
    EXPECT_FALSE(latch.try_wait());
    EXPECT_EQ(latch.wait_until(Deadline::after(1ms)).error(), std::errc::timed_out);
    latch.count_down(2);
    EXPECT_TRUE(latch.try_wait());
    latch.wait();
    EXPECT_TRUE(Latch(0).try_wait());
}

TEST(LatchDeathTest, RefusesToBeCountedBelowZero) {
    Latch latch(1);
    EXPECT_DEATH(latch.count_down(2), "count <= left");
}

}  // namespace
}  // namespace coir
