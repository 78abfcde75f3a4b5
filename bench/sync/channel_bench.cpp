// What does it cost to hand a value from one fiber to another?
//
// Inside the timer: a value goes through one channel and comes back through another, two hops; or is sent to
// and received from a channel by one fiber, which waits for nobody; or is received by a select of two channels.
// With one worker nothing is contended; with two the fibers may be on different threads. The yardsticks are
// Boost's own channels, and a queue with std::mutex and std::condition_variable between threads. Surprising would
// be: a hop on one worker above a microsecond.

#include <benchmark/benchmark.h>

#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/unbuffered_channel.hpp>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/sync/channel.hpp"
#include "coir/sync/select.hpp"
#include "sync/thread_queue.hpp"
#include "wrong_answer.hpp"

namespace {

constexpr coir::Deadline kNever = coir::Deadline::never();

void check_sum(benchmark::State& state, std::int64_t value) {
    if (value != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a value was lost");
    }
}

void channel_hop(benchmark::State& state, std::size_t capacity) {
    coir::Runtime runtime({.workers = static_cast<std::size_t>(state.range(0))});
    runtime.run([&] {
        coir::Channel<std::int64_t> there(capacity);
        coir::Channel<std::int64_t> back(capacity);
        auto echo = coir::spawn([&] {
            while (auto value = there.receive(kNever)) {
                back.send(*value + 1, kNever).value();
            }
        });
        std::int64_t value = 0;
        for (auto _ : state) {
            there.send(value, kNever).value();
            value = back.receive(kNever).value();
        }
        there.close();
        echo.join();
        check_sum(state, value);
    });
    state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK_CAPTURE(channel_hop, bounded, 16)
    ->Name("sync/channel_hop/workers")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(channel_hop, rendezvous, 0)
    ->Name("sync/channel_hop/rendezvous/workers")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();

void unbounded_hop(benchmark::State& state) {
    coir::Runtime runtime({.workers = static_cast<std::size_t>(state.range(0))});
    runtime.run([&] {
        coir::UnboundedChannel<std::int64_t> there;
        coir::UnboundedChannel<std::int64_t> back;
        auto echo = coir::spawn([&] {
            while (auto value = there.receive(kNever)) {
                back.send(*value + 1).value();
            }
        });
        std::int64_t value = 0;
        for (auto _ : state) {
            there.send(value).value();
            value = back.receive(kNever).value();
        }
        there.close();
        echo.join();
        check_sum(state, value);
    });
    state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(unbounded_hop)->Name("sync/channel_hop/unbounded/workers")->Arg(1)->Arg(2)->UseRealTime();

void select_hop(benchmark::State& state) {
    coir::Runtime runtime({.workers = 1});
    runtime.run([&] {
        coir::Channel<std::int64_t> there(16);
        coir::Channel<std::int64_t> back(16);
        coir::Channel<std::int64_t> quiet(16);
        auto echo = coir::spawn([&] {
            while (auto value = there.receive(kNever)) {
                back.send(*value + 1, kNever).value();
            }
        });
        std::int64_t value = 0;
        for (auto _ : state) {
            there.send(value, kNever).value();
            benchmark::DoNotOptimize(coir::select(
                coir::on_receive(quiet, [](coir::Result<std::int64_t>) {}),
                coir::on_receive(back,
                                 [&](coir::Result<std::int64_t> received) { value = *received; })));
        }
        there.close();
        echo.join();
        check_sum(state, value);
    });
    state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(select_hop)->Name("sync/channel_hop/select:2")->UseRealTime();

template <typename Channel>
void send_and_receive(benchmark::State& state, Channel& channel) {
    std::int64_t value = 0;
    for (auto _ : state) {
        if constexpr (requires { channel.send(value); }) {
            channel.send(value + 1).value();
        } else {
            channel.send(value + 1, kNever).value();
        }
        value = channel.receive(kNever).value();
    }
    check_sum(state, value);
    state.SetItemsProcessed(state.iterations());
}

void pass_bounded(benchmark::State& state) {
    coir::Channel<std::int64_t> channel(16);
    send_and_receive(state, channel);
}
BENCHMARK(pass_bounded)->Name("sync/channel_pass");

void pass_unbounded(benchmark::State& state) {
    coir::UnboundedChannel<std::int64_t> channel;
    send_and_receive(state, channel);
}
BENCHMARK(pass_unbounded)->Name("sync/channel_pass/unbounded");

template <typename Channel>
void hop_boost(benchmark::State& state, Channel& there, Channel& back) {
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
    check_sum(state, value);
    state.SetItemsProcessed(2 * state.iterations());
}

void channel_hop_boost(benchmark::State& state) {
    boost::fibers::buffered_channel<std::int64_t> there(16);
    boost::fibers::buffered_channel<std::int64_t> back(16);
    hop_boost(state, there, back);
}
BENCHMARK(channel_hop_boost)->Name("sync/channel_hop/yardstick:boost")->UseRealTime();

void rendezvous_boost(benchmark::State& state) {
    boost::fibers::unbuffered_channel<std::int64_t> there;
    boost::fibers::unbuffered_channel<std::int64_t> back;
    hop_boost(state, there, back);
}
BENCHMARK(rendezvous_boost)->Name("sync/channel_hop/yardstick:boost/rendezvous")->UseRealTime();

void channel_hop_thread(benchmark::State& state) {
    coir::bench::ThreadQueue there;
    coir::bench::ThreadQueue back;
    std::thread echo([&] {
        for (std::int64_t value = there.pop(); value >= 0; value = there.pop()) {
            back.push(value + 1);
        }
    });
    std::int64_t value = 0;
    for (auto _ : state) {
        there.push(value);
        value = back.pop();
    }
    there.push(-1);
    echo.join();
    check_sum(state, value);
    state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(channel_hop_thread)->Name("sync/channel_hop/yardstick:thread")->UseRealTime();

}  // namespace
