// What does it cost to have a call made where it may block?
//
// Inside the timer: a call that does nothing, on the runtime's pool, and the way back; the fiber that asks
// is alone. The yardstick is the same between two plain threads with a mutex and a condition variable.
// Surprising would be: a system call or a switch of threads more than the yardstick has.

#include <benchmark/benchmark.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "coir/runtime/blocking.hpp"
#include "coir/runtime/runtime.hpp"
#include "wrong_answer.hpp"

namespace {

void call_on_the_pool(benchmark::State& state) {
    coir::Runtime runtime({.workers = 1});
    runtime.run([&] {
        int value = 0;
        for (auto _ : state) {
            value = coir::blocking([value] { return value + 1; });
        }
        if (value != static_cast<int>(state.iterations())) {
            coir::bench::wrong_answer(state, "a call was lost");
        }
    });
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(call_on_the_pool)->Name("runtime/blocking")->UseRealTime();

void call_on_a_thread(benchmark::State& state) {
    std::mutex mutex;
    std::condition_variable changed;
    bool asked = false;
    bool done = false;
    int value = 0;
    std::thread other([&] {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return asked || done; });
            if (done) {
                return;
            }
            ++value;
            asked = false;
            changed.notify_all();
        }
    });
    for (auto _ : state) {
        std::unique_lock lock(mutex);
        asked = true;
        changed.notify_all();
        changed.wait(lock, [&] { return !asked; });
    }
    {
        const std::lock_guard lock(mutex);
        done = true;
        changed.notify_all();
    }
    other.join();
    if (value != static_cast<int>(state.iterations())) {
        coir::bench::wrong_answer(state, "a call was lost");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(call_on_a_thread)->Name("runtime/blocking/yardstick:thread")->UseRealTime();

}  // namespace
