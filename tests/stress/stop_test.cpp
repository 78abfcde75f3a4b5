#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"

namespace coir {
namespace {

TEST(RuntimeStop, EndsWhileThreadsAreStillSpawning) {
    // A refused spawn is counted for a moment. stop() once saw that count, went to sleep, and nobody told
    // it that the count had been taken back.
    for (int round = 0; round != 400; ++round) {
        std::atomic<int> accepted{0};
        std::atomic<int> ran{0};
        std::atomic<int> ready{0};
        Runtime runtime({.workers = 2});
        std::vector<std::thread> threads;
        for (int i = 0; i != 3; ++i) {
            threads.emplace_back([&] {
                ++ready;
                for (;;) {
                    try {
                        runtime.spawn([&] { ++ran; }).join();
                        ++accepted;
                    } catch (const std::system_error& error) {
                        EXPECT_EQ(error.code(), Errc::runtime_stopped);
                        return;
                    }
                }
            });
        }
        while (ready != 3) {
            std::this_thread::yield();
        }
        runtime.stop();
        for (auto& thread : threads) {
            thread.join();
        }
        EXPECT_EQ(ran, accepted);
    }
}

TEST(RuntimeStop, MayComeBeforeTheWorkersHaveFallenAsleep) {
    // A worker that sees the request by itself ends, and Boost's scheduler with it, while stop() may
    // still be waking that scheduler.
    for (int round = 0; round != 1000; ++round) {
        Runtime runtime({.workers = 3});
    }
}

}  // namespace
}  // namespace coir
