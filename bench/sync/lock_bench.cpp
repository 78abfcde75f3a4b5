// What does a lock cost, with nobody else there and with somebody?
//
// Inside the timer: lock and unlock. Contended: two fibers on two workers, or two threads, that do nothing
// else; what is counted is what both do, and `rival` is the share of the one that is not timed. Across a yield:
// two fibers on one worker give way while they hold the lock, so that the other one always finds it locked,
// and once more afterwards, for Boost's would stay with the same fiber for ever. The yardsticks are
// Boost.Fiber's mutex and the standard library's. Surprising would be: an uncontended lock that costs more than
// twice std::mutex's (ours also knows its holder), or a contended one that is slower than with threads.

#include <benchmark/benchmark.h>

#include <atomic>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/mutex.hpp>
#include <boost/fiber/operations.hpp>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/mutex.hpp"
#include "coir/sync/recursive_mutex.hpp"
#include "coir/sync/shared_mutex.hpp"
#include "wrong_answer.hpp"

namespace {

template <template <typename> typename Guard, typename Mutex>
void lock_and_unlock(benchmark::State& state, Mutex& mutex) {
    std::int64_t count = 0;
    for (auto _ : state) {
        const Guard<Mutex> lock(mutex);
        benchmark::DoNotOptimize(++count);
    }
    if (count != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a round was lost");
    }
    state.SetItemsProcessed(state.iterations());
}

template <template <typename> typename Guard, typename Mutex>
void uncontended(benchmark::State& state) {
    Mutex mutex;
    coir::Runtime runtime({.workers = 1});
    runtime.run([&] { lock_and_unlock<Guard>(state, mutex); });
}
template <template <typename> typename Guard, typename Mutex>
void uncontended_thread(benchmark::State& state) {
    Mutex mutex;
    lock_and_unlock<Guard>(state, mutex);
}

BENCHMARK(uncontended<std::lock_guard, coir::Mutex>)->Name("sync/lock")->UseRealTime();
BENCHMARK(uncontended<std::lock_guard, coir::RecursiveMutex>)
    ->Name("sync/lock/recursive")
    ->UseRealTime();
BENCHMARK(uncontended<std::lock_guard, coir::SharedMutex>)
    ->Name("sync/lock/shared:write")
    ->UseRealTime();
BENCHMARK(uncontended<std::shared_lock, coir::SharedMutex>)
    ->Name("sync/lock/shared:read")
    ->UseRealTime();
BENCHMARK(uncontended_thread<std::lock_guard, boost::fibers::mutex>)
    ->Name("sync/lock/yardstick:boost")
    ->UseRealTime();
BENCHMARK(uncontended_thread<std::lock_guard, std::mutex>)
    ->Name("sync/lock/yardstick:thread")
    ->UseRealTime();
BENCHMARK(uncontended_thread<std::lock_guard, std::shared_mutex>)
    ->Name("sync/lock/yardstick:thread/shared:write")
    ->UseRealTime();
BENCHMARK(uncontended_thread<std::shared_lock, std::shared_mutex>)
    ->Name("sync/lock/yardstick:thread/shared:read")
    ->UseRealTime();

/// The timed side and its rival count together, under the mutex.
template <typename Mutex, typename Start, typename Pause, typename GiveWay>
void contend(benchmark::State& state, Mutex& mutex, Start start, Pause pause, GiveWay give_way) {
    std::int64_t count = 0;
    std::int64_t rounds_of_rival = 0;
    std::atomic<bool> begun{false};
    std::atomic<bool> done{false};
    auto rival = start([&] {
        begun = true;
        while (!done.load(std::memory_order_relaxed)) {
            {
                const std::lock_guard lock(mutex);
                ++count;
                ++rounds_of_rival;
                give_way();
            }
            give_way();
        }
    });
    while (!begun) {
        pause();
    }
    for (auto _ : state) {
        {
            const std::lock_guard lock(mutex);
            ++count;
            give_way();
        }
        give_way();
    }
    done = true;
    rival.join();
    const auto own = static_cast<std::int64_t>(state.iterations());
    if (count != own + rounds_of_rival) {
        coir::bench::wrong_answer(state, "two were inside at once");
    } else if (own >= 10'000'000 && rounds_of_rival == 0) {
        coir::bench::wrong_answer(state, "there was no rival");
    }
    state.SetItemsProcessed(count);
    state.counters["rival"] = static_cast<double>(rounds_of_rival) / static_cast<double>(count);
}

const auto kNothing = [] {};

template <typename Mutex>
void contended(benchmark::State& state) {
    Mutex mutex;
    coir::Runtime runtime({.workers = 2});
    runtime.run([&] {
        contend(
            state, mutex, [](auto body) { return coir::spawn({.worker = 1}, body); },
            coir::this_fiber::yield, kNothing);
    });
}
template <typename Mutex>
void contended_thread(benchmark::State& state) {
    Mutex mutex;
    contend(
        state, mutex, [](auto body) { return std::thread(body); }, std::this_thread::yield,
        kNothing);
}

BENCHMARK(contended<coir::Mutex>)->Name("sync/lock_contended")->UseRealTime();
BENCHMARK(contended<coir::SharedMutex>)->Name("sync/lock_contended/shared:write")->UseRealTime();
BENCHMARK(contended_thread<std::mutex>)
    ->Name("sync/lock_contended/yardstick:thread")
    ->UseRealTime();
BENCHMARK(contended_thread<std::shared_mutex>)
    ->Name("sync/lock_contended/yardstick:thread/shared:write")
    ->UseRealTime();

void across_yield(benchmark::State& state) {
    coir::Mutex mutex;
    coir::Runtime runtime({.workers = 1});
    runtime.run([&] {
        contend(
            state, mutex, [](auto body) { return coir::spawn(body); }, coir::this_fiber::yield,
            coir::this_fiber::yield);
    });
}
BENCHMARK(across_yield)->Name("sync/lock_across_yield")->UseRealTime();

void across_yield_boost(benchmark::State& state) {
    boost::fibers::mutex mutex;
    contend(
        state, mutex, [](auto body) { return boost::fibers::fiber(body); },
        boost::this_fiber::yield, boost::this_fiber::yield);
}
BENCHMARK(across_yield_boost)->Name("sync/lock_across_yield/yardstick:boost")->UseRealTime();

void across_yield_thread(benchmark::State& state) {
    std::mutex mutex;
    contend(
        state, mutex, [](auto body) { return std::thread(body); }, std::this_thread::yield,
        std::this_thread::yield);
}
BENCHMARK(across_yield_thread)->Name("sync/lock_across_yield/yardstick:thread")->UseRealTime();

}  // namespace
