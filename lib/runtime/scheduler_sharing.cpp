// How workers help each other: the half of Scheduler that looks beyond its own queue.

#include <algorithm>
#include <array>

#include "runtime/core.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {
namespace {

using namespace std::chrono_literals;
using boost::fibers::context;

// Fewer fibers than kSurplusNow are worth a thief's wake-up if they have waited this long: less than it
// needs to wake and warm its caches.
constexpr auto kSurplusPatience = 50us;
// How long a worker may be on one fiber before others look after it; it is noticed within twice the
// time. (Who is only preempted by the kernel for so long is looked after as well.)
constexpr auto kWatchInterval = 1500us;
// While fibers run for long, others look more often. As long as the kernel's timer slack, which sleepers
// add to it.
constexpr auto kAlertInterval = 50us;
// Time without any activity before a watcher goes to sleep for good.
constexpr auto kQuiet = 5 * kWatchInterval;
// Looks after which fibers may stay though migration is forced: some 50 ms.
constexpr int kForcedPatience = 32;
constexpr std::size_t kStealBatch = 64;

}  // namespace

void Scheduler::wake_worker(int worker) noexcept {
    worker_.core().worker(static_cast<std::size_t>(worker)).scheduler().notify();
}

void Scheduler::share_surplus() noexcept {
    if (!idle_.someone_could_help() || forces_migration_) {
        surplus_since_ = {};
        return;
    }
    const std::size_t surplus = ready_.size();
    if (surplus == 0) {
        surplus_since_ = {};
        return;
    }
    if (surplus < kSurplusNow) {
        const auto now = Clock::now();
        if (surplus_since_ == Clock::time_point{}) {
            surplus_since_ = now;
        }
        if (now - surplus_since_ < kSurplusPatience) {
            return;
        }
    }
    surplus_since_ = {};
    if (const int sleeper = idle_.offer_surplus(worker_.index()); sleeper >= 0) {
        wake_worker(sleeper);
    }
}

bool Scheduler::rob(std::size_t victim) noexcept {
    std::array<Runnable*, kStealBatch> loot;
    const std::size_t count =
        worker_.core().worker(victim).scheduler().steal(loot.data(), loot.size());
    for (std::size_t i = 0; i != count; ++i) {
        if (!is_session(loot[i])) {
            control_of(context_of(loot[i])).may_stay =
                true;  // it may last have run here: its new worker hangs
        }
        ready_.push(loot[i]);
    }
    steals_.store(steals_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    return count != 0;
}

bool Scheduler::search() noexcept {
    for (int victim = idle_.find_surplus(worker_.index()); victim >= 0;
         victim = idle_.find_surplus(worker_.index())) {
        const auto index = static_cast<std::size_t>(victim);
        if (index != worker_.index() && rob(index)) {
            return true;
        }
        idle_.withdraw_surplus(index);
        // Its owner may have announced more just before that.
        if (index != worker_.index() && rob(index)) {
            return true;
        }
    }
    return false;
}

bool Scheduler::find_surplus() noexcept {
    bool found = false;
    while (!found && idle_.has_surplus() && idle_.begin_search()) {
        found = search();
        idle_.end_search();
    }
    return found;
}

void Scheduler::sleep(Clock::time_point until) noexcept {
    at_work_.store(false, std::memory_order_relaxed);
    idle_.enter_sleep(worker_.index());
    until = latest_end_of_sleep(until);
    if (quiet_ >= kQuiet && others_are_at_work()) {
        quiet_ = {};  // pairs with replace_watchers(): one of the two sees the other
    }
    const bool watching = quiet_ < kQuiet && idle_.become_watcher();
    if (watching) {
        until = std::min(until, next_watch_);
    }
    State awake = State::running;
    bool woken = false;
    if (state_.compare_exchange_strong(awake, State::sleeping, std::memory_order_seq_cst)) {
        // pairs with offer_surplus(): either it sees us in the set, or we see its surplus
        const bool has_work =
            idle_.has_surplus() || !worker_.core().injected().empty() || !arrivals_.empty();
        const auto bound = has_work ? Clock::time_point::min() : until;
        woken = poll(bound);
    }
    const State before = state_.exchange(State::running, std::memory_order_seq_cst);
    const bool claimed = idle_.leave_sleep(worker_.index());
    if (watching) {
        idle_.resign_watcher();
    }
    if (claimed) {
        if (ready_.empty()) {
            (void)search();
        }
        idle_.end_search();
    }
    if (woken) {
        looks_pay_ = std::min(looks_pay_ + 1, 1);
    }
    if (woken || claimed || before == State::notified) {
        quiet_ = {};
    }
}

void Scheduler::begin_work() noexcept {
    at_work_.store(true, std::memory_order_seq_cst);  // before the look for watchers
    if (const int sleeper = idle_.replace_watchers(worker_.index()); sleeper >= 0) {
        wake_worker(sleeper);
    }
}

bool Scheduler::others_are_at_work() const noexcept {
    for (std::size_t i = 0; i != runs_seen_.size(); ++i) {
        if (i != worker_.index() && worker_.core().worker(i).scheduler().is_at_work()) {
            return true;
        }
    }
    return false;
}

Scheduler::Clock::duration Scheduler::watch_interval(Clock::time_point now) const noexcept {
    return idle_.is_alert(now) && !forces_migration_ ? kAlertInterval : kWatchInterval;
}

void Scheduler::watch_if_due() noexcept {
    const auto now = Clock::now();
    if (now < next_watch_) {
        return;
    }
    const auto interval = watch_interval(now);
    next_watch_ = now + interval;
    bool active = false;
    for (std::size_t i = 0; i != runs_seen_.size(); ++i) {
        // A watcher that only looks around is not at work, or watchers would keep each other awake.
        active = (i != worker_.index() && watch(i) != Seen::idle) || active;
    }
    quiet_ =
        active ? Clock::duration::zero() : std::min<Clock::duration>(quiet_ + interval, kQuiet);
}

void Scheduler::watch_neighbours() noexcept {
    // By the coarse clock, which has been read, and one neighbour only, unless that one hangs: all
    // workers may be at this.
    if (last_poll_ < next_watch_) {
        return;
    }
    next_watch_ = last_poll_ + kWatchInterval;
    const std::size_t workers = runs_seen_.size();
    for (std::size_t next = (worker_.index() + 1) % workers;
         next != worker_.index() && watch(next) == Seen::hangs; next = (next + 1) % workers) {
    }
}

Scheduler::Seen Scheduler::watch(std::size_t worker) noexcept {
    Worker& other = worker_.core().worker(worker);
    Scheduler& scheduler = other.scheduler();
    const std::uint64_t runs = scheduler.runs();
    if (std::exchange(runs_seen_[worker], runs) != runs) {
        looks_in_vain_[worker] = 0;
        return Seen::moves_on;
    }
    if (!scheduler.is_at_work()) {
        return Seen::idle;
    }
    // It has been on one fiber since the last look: serve what is ready there.
    ReadyList& ready = worker_.ready_list();
    ready.clear();
    other.poller().look(ready);
    for (Waiter* waiter : ready.waiters()) {
        wake(*waiter, WakeReason::ready, &worker_);
        Worker::count(steals_);
    }
    other.deadlines()->expire(Clock::now());
    if (forces_migration_) {
        // Where migration is forced, a worker that the kernel has only preempted keeps its fibers.
        if (++looks_in_vain_[worker] < kForcedPatience) {
            return Seen::hangs;
        }
        take_arrivals(scheduler, true);  // here they may have been sent away, but there they hang
    }
    (void)rob(worker);
    return Seen::hangs;
}

}  // namespace coir::detail
