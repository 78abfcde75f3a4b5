// What does it cost to let many sleep at once?
//
// Inside the timer: as many fibers as the name says are started, each sleeps a millisecond, and all are
// joined; what is above the millisecond is the price, for one fiber mostly the kernel's. The yardsticks are
// Boost.Fiber and threads. Surprising would be: a fiber that wakes before its time, or a thousand that need twice
// the time of one.

#include <benchmark/benchmark.h>

#include <atomic>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "wrong_answer.hpp"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kNap(1);

template <typename Start, typename Sleep>
void sleepers(benchmark::State& state, Start start, Sleep sleep) {
    const std::int64_t count = state.range(0);
    std::atomic<std::int64_t> slept{0};  // those that did so long enough
    std::vector<decltype(start([] {}))> all;
    all.reserve(static_cast<std::size_t>(count));
    for (auto _ : state) {
        for (std::int64_t i = 0; i != count; ++i) {
            all.push_back(start([&] {
                const auto before = Clock::now();
                sleep(kNap);
                if (Clock::now() - before >= kNap) {
                    slept.fetch_add(1, std::memory_order_relaxed);
                }
            }));
        }
        for (auto& one : all) {
            one.join();
        }
        all.clear();
    }
    if (slept != count * static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "somebody woke early, or never slept");
    }
    state.SetItemsProcessed(state.iterations());
}

void sleep_fibers(benchmark::State& state) {
    coir::Runtime runtime({.workers = 1});
    runtime.run([&] {
        sleepers(
            state, [](auto body) { return coir::spawn(body); },
            [](auto time) { coir::this_fiber::sleep_for(time); });
    });
}
BENCHMARK(sleep_fibers)->Name("runtime/sleep/fibers")->Arg(1)->Arg(1'000)->UseRealTime();

void sleep_boost(benchmark::State& state) {
    sleepers(
        state, [](auto body) { return boost::fibers::fiber(body); },
        [](auto time) { boost::this_fiber::sleep_for(time); });
}
BENCHMARK(sleep_boost)
    ->Name("runtime/sleep/yardstick:boost/fibers")
    ->Arg(1)
    ->Arg(1'000)
    ->UseRealTime();

void sleep_threads(benchmark::State& state) {
    sleepers(
        state, [](auto body) { return std::thread(body); },
        [](auto time) { std::this_thread::sleep_for(time); });
}
BENCHMARK(sleep_threads)
    ->Name("runtime/sleep/yardstick:thread/fibers")
    ->Arg(1)
    ->Arg(1'000)
    ->UseRealTime();

}  // namespace
