#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "support/patience.hpp"

// A worker goes to sleep only when nothing is left that it could run.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

/// Sleeps whose ends fall into the moments in which a worker goes to sleep itself. Workers beyond the few that
/// watch are woken by nobody; the descriptor makes each look for events once more before it sleeps.
TEST(WorkerSleep, DoesNotBeginWhenASleepHasJustEnded) {
    constexpr int kWorkers = 12;
    constexpr int kRounds = 1000;
    Runtime runtime({.workers = kWorkers});
    std::vector<FiberHandle<void>> fibers;
    for (int worker = 0; worker != kWorkers; ++worker) {
        fibers.push_back(runtime.spawn({.worker = worker, .pinned = true}, [] {
            IoSource source(test::make_eventfd());
            for (int round = 0; round != kRounds; ++round) {
                this_fiber::sleep_for(std::chrono::microseconds(round % 50));
                test::signal(source.fd());
                ASSERT_TRUE(source.wait_readable(soon()));
                EXPECT_EQ(test::take_signals(source.fd()), 1U);
            }
        }));
    }
    for (auto& fiber : fibers) {
        EXPECT_TRUE(fiber.wait(soon())) << "a fiber that could run was left lying";
    }
}

}  // namespace
}  // namespace coir
