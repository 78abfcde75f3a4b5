// What is the least that a switch can cost on this machine?
//
// Inside the timer: a round trip between two bare Boost.Context fibers, without any scheduler. This
// is the floor under every line of runtime/yield; a round trip is two switches.

#include <benchmark/benchmark.h>

#include <boost/context/fiber.hpp>

#include "wrong_answer.hpp"

namespace {

void bare_round_trip(benchmark::State& state) {
    std::int64_t visits = 0;
    boost::context::fiber other([&visits](boost::context::fiber&& caller) {
        for (;;) {
            ++visits;
            caller = std::move(caller).resume();
        }
        return std::move(caller);
    });
    for (auto _ : state) {
        other = std::move(other).resume();
    }
    if (visits != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a switch was lost");
    }
    state.SetItemsProcessed(2 * visits);
}
BENCHMARK(bare_round_trip)->Name("runtime/switch/yardstick:context");

}  // namespace
