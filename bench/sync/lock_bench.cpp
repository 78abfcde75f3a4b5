// What does a lock cost, with nobody else there and with somebody?
//
// Inside the timer: lock and unlock. Contended: two fibers on two workers, or two threads, that do nothing
// else; what is counted is what both do. The yardsticks are Boost.Fiber's mutex and the standard library's.
// Surprising would be: an uncontended lock that costs more than twice std::mutex's (ours also knows its
// holder), or a contended one that is slower than with threads.

#include <benchmark/benchmark.h>

#include <atomic>
#include <boost/fiber/mutex.hpp>
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

BENCHMARK(uncontended<std::lock_guard, coir::Mutex>)->Name("sync/lock");
BENCHMARK(uncontended<std::lock_guard, coir::RecursiveMutex>)->Name("sync/lock/recursive");
BENCHMARK(uncontended<std::lock_guard, coir::SharedMutex>)->Name("sync/lock/shared:write");
BENCHMARK(uncontended<std::shared_lock, coir::SharedMutex>)->Name("sync/lock/shared:read");
BENCHMARK(uncontended_thread<std::lock_guard, boost::fibers::mutex>)
    ->Name("sync/lock/yardstick:boost");
BENCHMARK(uncontended_thread<std::lock_guard, std::mutex>)->Name("sync/lock/yardstick:thread");
BENCHMARK(uncontended_thread<std::lock_guard, std::shared_mutex>)
    ->Name("sync/lock/yardstick:thread/shared:write");
BENCHMARK(uncontended_thread<std::shared_lock, std::shared_mutex>)
    ->Name("sync/lock/yardstick:thread/shared:read");

/// The timed side and its rival count together, under the mutex.
template <typename Mutex, typename Start>
void contend(benchmark::State& state, Mutex& mutex, Start start) {
    std::int64_t count = 0;
    std::int64_t rounds_of_rival = 0;
    std::atomic<bool> done{false};
    auto rival = start([&] {
        while (!done.load(std::memory_order_relaxed)) {
            const std::lock_guard lock(mutex);
            ++count;
            ++rounds_of_rival;
        }
    });
    for (auto _ : state) {
        const std::lock_guard lock(mutex);
        ++count;
    }
    done = true;
    rival.join();
    if (count != static_cast<std::int64_t>(state.iterations()) + rounds_of_rival) {
        coir::bench::wrong_answer(state, "two were inside at once");
    }
    state.SetItemsProcessed(count);
}

template <typename Mutex>
void contended(benchmark::State& state) {
    Mutex mutex;
    coir::Runtime runtime({.workers = 2});
    runtime.run(
        [&] { contend(state, mutex, [](auto body) { return coir::spawn({.worker = 1}, body); }); });
}
template <typename Mutex>
void contended_thread(benchmark::State& state) {
    Mutex mutex;
    contend(state, mutex, [](auto body) { return std::thread(body); });
}

BENCHMARK(contended<coir::Mutex>)->Name("sync/lock_contended")->UseRealTime();
BENCHMARK(contended<coir::SharedMutex>)->Name("sync/lock_contended/shared:write")->UseRealTime();
BENCHMARK(contended_thread<std::mutex>)
    ->Name("sync/lock_contended/yardstick:thread")
    ->UseRealTime();
BENCHMARK(contended_thread<std::shared_mutex>)
    ->Name("sync/lock_contended/yardstick:thread/shared:write")
    ->UseRealTime();

}  // namespace
