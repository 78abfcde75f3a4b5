#pragma once

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "stress/seed.hpp"

namespace coir::test {

/// Many who do the same at the same time: fibers on three workers, and two plain threads. Some of the
/// fibers are asked to stop while they are at it.
class Crowd final {
public:
    static constexpr int kFibers = 12;
    static constexpr int kThreads = 2;
    static constexpr int kAll = kFibers + kThreads;

    explicit Crowd(std::uint64_t seed) : seed_(seed), runtime_({.workers = 3}) {}

    /// Calls `work(who, random)` for each; returns when all have returned.
    template <typename Work>
    void run(Work work) {
        std::vector<FiberHandle<void>> fibers;
        std::vector<std::thread> threads;
        for (int who = 0; who != kAll; ++who) {
            const auto body = [this, work, who]() mutable {
                SmallRandom random(seed_, who);
                work(who, random);
            };
            if (who < kFibers) {
                fibers.push_back(runtime_.spawn({.worker = who % 3}, body));
            } else {
                threads.emplace_back(body);
            }
        }
        SmallRandom random(seed_, kAll);
        for (int i = 0; i != kFibers / 3; ++i) {
            std::this_thread::sleep_for(std::chrono::microseconds(random.below(2000)));
            fibers[static_cast<std::size_t>(random.below(kFibers))].request_stop();
        }
        for (auto& fiber : fibers) {
            fiber.join();
        }
        for (auto& thread : threads) {
            thread.join();
        }
    }

private:
    const std::uint64_t seed_;
    Runtime runtime_;
};

}  // namespace coir::test
