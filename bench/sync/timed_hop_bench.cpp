// What does a deadline add to a wait that ends long before it?
//
// Inside the timer: what sync/channel_hop has there, a value through one channel and one back through another,
// two hops, but every receive has ten seconds: the clock is read, and the deadline armed and taken back, if the
// receiver has to wait. The yardsticks are Boost's channels, and a queue with a condition variable between threads.
// Surprising would be: more than channel_hop, a look at the clock and runtime/deadline/once together.

#include <benchmark/benchmark.h>

#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>
#include <chrono>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/sync/channel.hpp"
#include "sync/thread_queue.hpp"
#include "wrong_answer.hpp"

namespace {

constexpr std::chrono::seconds kLimit(10);

void check_sum(benchmark::State& state, std::int64_t value) {
    if (value != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a value was lost, or a deadline has passed");
    }
    state.SetItemsProcessed(2 * state.iterations());
}

void send(coir::Channel<std::int64_t>& channel, std::int64_t value) {
    channel.send(value, coir::Deadline::never()).value();
}
void send(coir::UnboundedChannel<std::int64_t>& channel, std::int64_t value) {
    channel.send(value).value();
}

template <typename Channel>
void hop(benchmark::State& state, Channel& there, Channel& back) {
    auto echo = coir::spawn([&] {
        while (auto value = there.receive(coir::Deadline::after(kLimit))) {
            send(back, *value + 1);
        }
    });
    std::int64_t value = 0;
    for (auto _ : state) {
        send(there, value);
        value = back.receive(coir::Deadline::after(kLimit)).value();
    }
    there.close();
    echo.join();
    check_sum(state, value);
}

void bounded(benchmark::State& state) {
    coir::Runtime runtime({.workers = 1});
    runtime.run([&] {
        coir::Channel<std::int64_t> there(16);
        coir::Channel<std::int64_t> back(16);
        hop(state, there, back);
    });
}
BENCHMARK(bounded)->Name("sync/timed_hop")->UseRealTime();

void unbounded(benchmark::State& state) {
    coir::Runtime runtime({.workers = 1});
    runtime.run([&] {
        coir::UnboundedChannel<std::int64_t> there;
        coir::UnboundedChannel<std::int64_t> back;
        hop(state, there, back);
    });
}
BENCHMARK(unbounded)->Name("sync/timed_hop/unbounded")->UseRealTime();

void boost_fibers(benchmark::State& state) {
    using boost::fibers::channel_op_status;
    boost::fibers::buffered_channel<std::int64_t> there(16);
    boost::fibers::buffered_channel<std::int64_t> back(16);
    boost::fibers::fiber echo([&] {
        std::int64_t value = 0;
        while (there.pop_wait_for(value, kLimit) == channel_op_status::success) {
            back.push(value + 1);
        }
    });
    std::int64_t value = 0;
    for (auto _ : state) {
        there.push(value);
        if (back.pop_wait_for(value, kLimit) != channel_op_status::success) {
            break;
        }
    }
    there.close();
    echo.join();
    check_sum(state, value);
}
BENCHMARK(boost_fibers)->Name("sync/timed_hop/yardstick:boost")->UseRealTime();

void threads(benchmark::State& state) {
    coir::bench::ThreadQueue there;
    coir::bench::ThreadQueue back;
    std::thread echo([&] {
        for (auto value = there.pop_for(kLimit); value.value_or(-1) >= 0;
             value = there.pop_for(kLimit)) {
            back.push(*value + 1);
        }
    });
    std::int64_t value = 0;
    for (auto _ : state) {
        there.push(value);
        value = back.pop_for(kLimit).value_or(0);
    }
    there.push(-1);
    echo.join();
    check_sum(state, value);
}
BENCHMARK(threads)->Name("sync/timed_hop/yardstick:thread")->UseRealTime();

}  // namespace
