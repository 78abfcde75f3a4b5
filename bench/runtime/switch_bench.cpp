// What does it cost to leave one fiber for another, and to start and collect one?
//
// Inside the timer: the yields, or the spawn and the join, on one worker. Outside: making the
// runtime. The yardsticks are bare Boost.Fiber with its round_robin algorithm, and std::thread (items are
// switches; what the kernel makes of sched_yield is its affair).
// Surprising would be: a yield that costs more than twice Boost's (ours also looks after I/O, the
// exception state and other workers), or a spawn that grows with the number of workers.

#include <benchmark/benchmark.h>
#include <sched.h>

#include <atomic>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "wrong_answer.hpp"

namespace {

void yield_between_two_fibers(benchmark::State& state) {
    coir::Runtime runtime({.workers = static_cast<std::size_t>(state.range(0))});
    std::int64_t switches = 0;
    runtime.run([&] {
        coir::spawn({.worker = 0, .pinned = true}, [&] {
            bool done = false;
            std::int64_t partner = 0;
            auto other = coir::spawn({.worker = 0, .pinned = true}, [&] {
                while (!done) {
                    ++partner;
                    coir::this_fiber::yield();
                }
            });
            std::int64_t own = 0;
            for (auto _ : state) {
                ++own;
                coir::this_fiber::yield();
            }
            done = true;
            other.join();
            if (partner < own - 1) {
                coir::bench::wrong_answer(state, "a yield did not let the other fiber run");
            }
            switches = own + partner;
        }).join();
    });
    state.SetItemsProcessed(switches);
}
BENCHMARK(yield_between_two_fibers)->Name("runtime/yield/workers")->Arg(1)->Arg(2)->UseRealTime();

void yield_between_two_boost_fibers(benchmark::State& state) {
    bool done = false;
    std::int64_t partner = 0;
    boost::fibers::fiber other([&] {
        while (!done) {
            ++partner;
            boost::this_fiber::yield();
        }
    });
    std::int64_t own = 0;
    for (auto _ : state) {
        ++own;
        boost::this_fiber::yield();
    }
    done = true;
    other.join();
    if (partner < own - 1) {
        coir::bench::wrong_answer(state, "a yield did not let the other fiber run");
    }
    state.SetItemsProcessed(own + partner);
}
BENCHMARK(yield_between_two_boost_fibers)->Name("runtime/yield/yardstick:boost")->UseRealTime();

/// Two threads on one processor, as two fibers are on one worker.
void yield_between_two_threads(benchmark::State& state) {
    cpu_set_t before;
    ::sched_getaffinity(0, sizeof before, &before);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
    ::sched_setaffinity(0, sizeof one, &one);  // the other thread inherits it
    std::atomic<bool> done{false};
    std::atomic<std::int64_t> partner{0};
    std::thread other([&] {
        while (!done) {
            ++partner;
            std::this_thread::yield();
        }
    });
    std::int64_t own = 0;
    for (auto _ : state) {
        ++own;
        std::this_thread::yield();
    }
    done = true;
    other.join();
    ::sched_setaffinity(0, sizeof before, &before);
    if (partner == 0) {
        coir::bench::wrong_answer(state, "a yield did not let the other thread run");
    }
    state.SetItemsProcessed(own + partner);
}
BENCHMARK(yield_between_two_threads)->Name("runtime/yield/yardstick:thread")->UseRealTime();

void yield_alone(benchmark::State& state) {
    coir::Runtime runtime({.workers = 1});
    runtime.run([&] {
        for (auto _ : state) {
            coir::this_fiber::yield();
        }
    });
    runtime.stop();  // the counters are exact then
    const coir::RuntimeStats stats = runtime.stats();
    const auto yields = static_cast<std::uint64_t>(state.iterations());
    if (stats.polls < yields / 1000) {
        coir::bench::wrong_answer(state, "yields keep the poller waiting");
    } else if (stats.switches > yields / 2 + 100) {
        coir::bench::wrong_answer(state, "a yield that gives way to nobody has switched");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(yield_alone)->Name("runtime/yield_alone")->UseRealTime();

void spawn_and_join(benchmark::State& state) {
    coir::Runtime runtime({.workers = static_cast<std::size_t>(state.range(0))});
    runtime.run([&] {
        int value = 0;
        for (auto _ : state) {
            value = coir::spawn([value] { return value + 1; }).join();
        }
        if (value != static_cast<int>(state.iterations())) {
            coir::bench::wrong_answer(state, "a fiber was lost");
        }
    });
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(spawn_and_join)->Name("runtime/spawn_join/workers")->Arg(1)->Arg(2)->UseRealTime();

void spawn_and_join_boost(benchmark::State& state) {
    int value = 0;
    for (auto _ : state) {
        boost::fibers::fiber fiber([&value] { ++value; });
        fiber.join();
    }
    if (value != static_cast<int>(state.iterations())) {
        coir::bench::wrong_answer(state, "a fiber was lost");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(spawn_and_join_boost)->Name("runtime/spawn_join/yardstick:boost")->UseRealTime();

void spawn_and_join_thread(benchmark::State& state) {
    int value = 0;
    for (auto _ : state) {
        std::thread thread([&value] { ++value; });
        thread.join();
    }
    if (value != static_cast<int>(state.iterations())) {
        coir::bench::wrong_answer(state, "a thread was lost");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(spawn_and_join_thread)->Name("runtime/spawn_join/yardstick:thread")->UseRealTime();

}  // namespace
