#include "coir/sync/wait_group.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;

class WaitGroupOnWorkers : public test::OnWorkers {};
INSTANTIATE_TEST_SUITE_P(Workers, WaitGroupOnWorkers, testing::Values(1, 2, 4));

TEST_P(WaitGroupOnWorkers, WaitsForAllThatWasAddedAgainAndAgain) {
    run([] {
        WaitGroup group;
        group.wait();
        for (int round = 0; round != 100; ++round) {
            std::atomic<int> done{0};
            for (int i = 0; i != 10; ++i) {
                group.add();
                spawn([&] {
                    ++done;
                    group.done();
                }).detach();
            }
            group.wait();
            EXPECT_EQ(done, 10);
        }
    });
}

TEST(WaitGroup, MoreMayBeAddedWhileSomebodyWaits) {
    Runtime runtime({.workers = 1});
    WaitGroup group;
    group.add();
    auto waiting = runtime.spawn([&] { group.wait(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a wait group"));
    group.add(2);
    group.done();
    group.done();
    EXPECT_EQ(group.wait_until(Deadline::after(1ms)).error(), std::errc::timed_out);
    EXPECT_FALSE(waiting.is_done());
    std::thread([&] { group.done(); }).join();
    waiting.join();
}

TEST(WaitGroupDeathTest, RefusesMoreDoneThanAdded) {
    WaitGroup group;
    EXPECT_DEATH(group.done(), "count <= left");
}

}  // namespace
}  // namespace coir
