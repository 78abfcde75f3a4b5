// What does it cost to hand a value from one fiber to another?
//
// Inside the timer: a value goes through one channel and comes back through another, two hops. With
// one worker nothing is contended; with two the fibers may be on different threads. The yardstick is
// Boost's own buffered_channel. Surprising would be: a hop on one worker above a microsecond.

#include <benchmark/benchmark.h>

#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>

#include "coir/runtime/runtime.hpp"
#include "coir/sync/channel.hpp"
#include "wrong_answer.hpp"

namespace {

void channel_hop(benchmark::State& state) {
    coir::Runtime runtime({.workers = static_cast<std::size_t>(state.range(0))});
    runtime.run([&] {
        const auto never = coir::Deadline::never();
        coir::Channel<std::int64_t> there(16);
        coir::Channel<std::int64_t> back(16);
        auto echo = coir::spawn([&] {
            while (auto value = there.receive(never)) {
                back.send(*value + 1, never).value();
            }
        });
        std::int64_t value = 0;
        for (auto _ : state) {
            there.send(value, never).value();
            value = back.receive(never).value();
        }
        there.close();
        echo.join();
        if (value != static_cast<std::int64_t>(state.iterations())) {
            coir::bench::wrong_answer(state, "a value was lost");
        }
    });
    state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(channel_hop)->Name("sync/channel_hop/workers")->Arg(1)->Arg(2)->UseRealTime();

void channel_hop_boost(benchmark::State& state) {
    boost::fibers::buffered_channel<std::int64_t> there(16);
    boost::fibers::buffered_channel<std::int64_t> back(16);
    boost::fibers::fiber echo([&] {
        for (std::int64_t value : there) {
            back.push(value + 1);
        }
    });
    std::int64_t value = 0;
    for (auto _ : state) {
        there.push(value);
        value = back.value_pop();
    }
    there.close();
    echo.join();
    if (value != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a value was lost");
    }
    state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(channel_hop_boost)->Name("sync/channel_hop/yardstick:boost")->UseRealTime();

}  // namespace
