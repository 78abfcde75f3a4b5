#include "coir/sync/barrier.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/joined_fiber.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

class BarrierOnWorkers : public test::OnWorkers {};
INSTANTIATE_TEST_SUITE_P(Workers, BarrierOnWorkers, testing::Values(1, 2, 4));

TEST_P(BarrierOnWorkers, NobodyIsAPhaseAheadOfTheOthers) {
    run([] {
        constexpr int kFibers = 8;
        constexpr int kPhases = 100;
        std::atomic<int> arrived{0};
        int phases = 0;  // only by the completion function, which is alone
        Barrier barrier(kFibers + 1, [&]() noexcept {
            this_fiber::yield();  // it may suspend
            EXPECT_EQ(arrived, (phases + 1) * (kFibers + 1));
            ++phases;
        });
        const auto work = [&] {
            for (int phase = 0; phase != kPhases; ++phase) {
                ++arrived;
                barrier.arrive_and_wait();
                EXPECT_GE(phases, phase + 1);
            }
        };
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != kFibers; ++i) {
            fibers.push_back(spawn({.worker = i % this_worker::count()}, work));
        }
        std::thread thread(work);
        fibers.clear();
        thread.join();
        EXPECT_EQ(phases, kPhases);
    });
}

TEST(Barrier, WhoDropsOutIsNotExpectedAgain) {
    int phases = 0;
    Barrier barrier(2, [&]() noexcept { ++phases; });
    barrier.arrive_and_drop();
    barrier.arrive_and_wait();
    EXPECT_EQ(phases, 1);
    barrier.arrive_and_wait();
    EXPECT_EQ(phases, 2);
}

TEST(Barrier, AnArrivalCountsThoughItsWaitTimedOut) {
    Runtime runtime({.workers = 1});
    Barrier barrier(2);
    auto token = barrier.arrive();
    EXPECT_EQ(barrier.wait_until(token, Deadline::after(1ms)).error(), std::errc::timed_out);
    auto other = runtime.spawn([&] { return barrier.arrive_and_wait_until(soon()); });
    EXPECT_TRUE(other.join());
    barrier.wait(std::move(token));
}

TEST(BarrierDeathTest, RefusesMoreThanAreExpected) {
    Barrier barrier(2);
    EXPECT_DEATH((void)barrier.arrive(3), "count <= left_");
}

}  // namespace
}  // namespace coir
