// What does a semaphore cost, with permits there and with a fiber to wake?
//
// Inside the timer: acquire and release of one that has permits; and a round trip of two fibers of one worker
// that wake each other, which is two switches. The yardstick is std::counting_semaphore, the round trip between
// two threads. Surprising would be: a round trip above a microsecond.

#include <benchmark/benchmark.h>

#include <semaphore>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/sync/semaphore.hpp"
#include "wrong_answer.hpp"

namespace {

template <typename Semaphore>
void acquire_and_release(benchmark::State& state) {
    Semaphore semaphore(1);
    for (auto _ : state) {
        semaphore.acquire();
        semaphore.release();
    }
    if (!semaphore.try_acquire() || semaphore.try_acquire()) {
        coir::bench::wrong_answer(state, "there is not one permit");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(acquire_and_release<coir::Semaphore>)->Name("sync/semaphore");
BENCHMARK(acquire_and_release<std::counting_semaphore<>>)->Name("sync/semaphore/yardstick:thread");

template <typename Semaphore, typename Start>
void hand_over(benchmark::State& state, Start start) {
    Semaphore ping(0);
    Semaphore pong(0);
    bool done = false;
    std::int64_t answers = 0;
    auto partner = start([&] {
        for (ping.acquire(); !done; ping.acquire()) {
            ++answers;
            pong.release();
        }
    });
    for (auto _ : state) {
        ping.release();
        pong.acquire();
    }
    done = true;
    ping.release();
    partner.join();
    if (answers != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a wake-up was lost");
    }
    state.SetItemsProcessed(2 * state.iterations());
}

void hand_over_fibers(benchmark::State& state) {
    coir::Runtime runtime({.workers = static_cast<std::size_t>(state.range(0))});
    runtime.run(
        [&] { hand_over<coir::Semaphore>(state, [](auto body) { return coir::spawn(body); }); });
}
BENCHMARK(hand_over_fibers)
    ->Name("sync/semaphore_hand_over/workers")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();

void hand_over_threads(benchmark::State& state) {
    hand_over<std::counting_semaphore<>>(state, [](auto body) { return std::thread(body); });
}
BENCHMARK(hand_over_threads)->Name("sync/semaphore_hand_over/yardstick:thread")->UseRealTime();

}  // namespace
