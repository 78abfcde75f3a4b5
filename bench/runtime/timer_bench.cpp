// What does a deadline cost that does not pass, as almost none does?
//
// Inside the timer: the deadline of one wait is set, armed and taken back, in a wheel that holds others.
// `renewed` is what a connection does, whose deadline stays in the wheel from one wait to the next;
// `once` is what a wait does whose timer lies in its frame. No system call is made: the poller sleeps
// towards the earliest deadline anyhow. The yardsticks are an ordered tree, which Boost.Fiber keeps its
// sleepers in, and a timer of the kernel. Surprising would be: a cost that grows with the others.

#include <benchmark/benchmark.h>
#include <sys/timerfd.h>

#include <atomic>
#include <boost/intrusive/set.hpp>
#include <chrono>
#include <deque>
#include <memory>

#include "coir/base/unique_fd.hpp"
#include "runtime/deadline_wheel.hpp"
#include "wrong_answer.hpp"

namespace {

using Clock = coir::detail::TimerWheel::Clock;
using coir::detail::DeadlineWheel;
using coir::detail::IoDeadline;
using namespace std::chrono_literals;

constexpr std::uint64_t kRuntime = 1;

/// Deadlines of others, spread over a minute.
class Others final {
public:
    Others(const std::shared_ptr<DeadlineWheel>& wheel, Clock::time_point now, std::int64_t count)
        : slots_(static_cast<std::size_t>(count)), deadlines_(static_cast<std::size_t>(count)) {
        for (std::size_t i = 0; i != deadlines_.size(); ++i) {
            deadlines_[i].set(now + 1s + (i * 7919) % 60'000 * 1ms);
            deadlines_[i].ensure_armed(slots_[i], wheel, kRuntime);
        }
    }
    ~Others() {
        for (auto& deadline : deadlines_) {
            deadline.reset();
        }
    }

private:
    std::deque<std::atomic<std::uintptr_t>> slots_;
    std::deque<IoDeadline> deadlines_;
};

void renew(benchmark::State& state) {
    const auto now = Clock::now();
    const auto wheel = std::make_shared<DeadlineWheel>(now);
    const Others others(wheel, now, state.range(0));
    std::atomic<std::uintptr_t> slot{0};
    IoDeadline deadline;
    auto at = now + 10s;
    for (auto _ : state) {
        at += 1us;
        deadline.set(at);
        deadline.ensure_armed(slot, wheel, kRuntime);
    }
    if (!deadline.is_armed()) {
        coir::bench::wrong_answer(state, "the deadline is not in the wheel");
    }
    deadline.reset();
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(renew)->Name("runtime/deadline/renewed/others")->Arg(0)->Arg(10'000);

void arm_once(benchmark::State& state) {
    const auto now = Clock::now();
    const auto wheel = std::make_shared<DeadlineWheel>(now);
    const Others others(wheel, now, state.range(0));
    std::atomic<std::uintptr_t> slot{0};
    std::int64_t armed = 0;
    auto at = now + 10s;
    for (auto _ : state) {
        IoDeadline deadline;
        at += 1us;
        deadline.set(at);
        deadline.ensure_armed(slot, wheel, kRuntime);
        armed += deadline.is_armed() ? 1 : 0;
        deadline.reset();
    }
    if (armed != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a deadline was not in the wheel");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(arm_once)->Name("runtime/deadline/once/others")->Arg(0)->Arg(10'000);

/// The same for who knows how long and not until when, as all do whose timers take a duration.
void arm_from_now(benchmark::State& state) {
    const auto wheel = std::make_shared<DeadlineWheel>(Clock::now());
    std::atomic<std::uintptr_t> slot{0};
    std::int64_t armed = 0;
    for (auto _ : state) {
        IoDeadline deadline;
        deadline.set(Clock::now() + 10s);
        deadline.ensure_armed(slot, wheel, kRuntime);
        armed += deadline.is_armed() ? 1 : 0;
        deadline.reset();
    }
    if (armed != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a deadline was not in the wheel");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(arm_from_now)->Name("runtime/deadline/from_now")->UseRealTime();

struct TreeNode : boost::intrusive::set_base_hook<> {
    Clock::time_point at;
    friend bool operator<(const TreeNode& a, const TreeNode& b) { return a.at < b.at; }
};

void arm_in_tree(benchmark::State& state) {
    const auto now = Clock::now();
    std::deque<TreeNode> others(static_cast<std::size_t>(state.range(0)));
    boost::intrusive::multiset<TreeNode> tree;
    for (std::size_t i = 0; i != others.size(); ++i) {
        others[i].at = now + 1s + (i * 7919) % 60'000 * 1ms;
        tree.insert(others[i]);
    }
    auto at = now + 10s;
    std::int64_t armed = 0;
    for (auto _ : state) {
        TreeNode node;
        at += 1us;
        node.at = at;
        tree.insert(node);
        armed += node.is_linked() ? 1 : 0;
        tree.erase(tree.iterator_to(node));
    }
    if (armed != static_cast<std::int64_t>(state.iterations())) {
        coir::bench::wrong_answer(state, "a node was not in the tree");
    }
    state.SetItemsProcessed(state.iterations());
    tree.clear();
}
BENCHMARK(arm_in_tree)->Name("runtime/deadline/yardstick:tree/others")->Arg(0)->Arg(10'000);

void arm_in_kernel(benchmark::State& state) {
    const coir::UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    itimerspec on{};
    on.it_value.tv_sec = 10;
    const itimerspec off{};
    int failures = 0;
    for (auto _ : state) {
        failures += ::timerfd_settime(timer.get(), 0, &on, nullptr);
        failures += ::timerfd_settime(timer.get(), 0, &off, nullptr);
    }
    if (failures != 0) {
        coir::bench::wrong_answer(state, "the kernel refused a timer");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(arm_in_kernel)->Name("runtime/deadline/yardstick:timerfd")->UseRealTime();

}  // namespace
