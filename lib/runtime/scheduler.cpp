#include "runtime/scheduler.hpp"

#include <algorithm>
#include <array>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "runtime/core.hpp"
#include "runtime/run_clock.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {
namespace {

using namespace std::chrono_literals;
using boost::fibers::context;

// As in Go's and userver's schedulers: a prime, so that it does not beat with what a program repeats.
constexpr std::uint32_t kPollPicks = 61;
// This many fibers in the queue are worth a thief's wake-up at once...
constexpr std::size_t kSurplusNow = 8;
// ...and fewer if they have waited this long: less than a thief needs to wake and warm its caches.
constexpr auto kSurplusPatience = 50us;
// How long a worker may be on one fiber before others look after it; it is noticed within twice the
// time. (Who is only preempted by the kernel for so long is looked after as well.)
constexpr auto kWatchInterval = 1500us;
// A fiber that runs for so long makes others that are ready wait for long...
constexpr auto kLongRun = 200us;
// ...so while there are such fibers others look more often. As long as the kernel's timer slack, which
// sleepers add to it.
constexpr auto kAlertInterval = 50us;
// How far the coarse clock may be behind (a kernel with 100 Hz).
constexpr auto kCoarseTick = 10ms;
// Time without any activity before a watcher goes to sleep for good.
constexpr auto kQuiet = 5 * kWatchInterval;
// Looks after which fibers may stay though migration is forced: some 50 ms.
constexpr int kForcedPatience = 32;
constexpr std::size_t kStealBatch = 64;
constexpr int kInjectedBatch = 32;

constexpr std::size_t kLine = 64;
constexpr std::size_t kFrames = 1792;  // of a connection that waits for a request

/// A fiber that has waited finds its frames in no near cache, and would fetch them one after the other.
/// They lie right below its context, so they can be asked for all at once, while the one before it
/// runs. Nothing there is read: it may have been stolen, and be gone.
void prefetch_frames(const context* next) noexcept {
    const char* const place = reinterpret_cast<const char*>(next);
    for (const char* line = place - kFrames; line < place + sizeof(context); line += kLine) {
        __builtin_prefetch(line);
    }
}

}  // namespace

Scheduler::Scheduler(Worker& worker)
    : worker_(worker),
      idle_(worker.core().idle()),
      boost_(*context::active()->get_scheduler()),
      exceptions_(thread_exception_state()),
      alone_(!worker.core().steals()),
      forces_migration_(worker.core().worker_count() != 1 && worker.core().forces_migration()),
      main_(context::active()),
      running_(main_),
      run_began_(run_ticks()),
      runs_seen_(worker.core().worker_count()),
      looks_in_vain_(worker.core().worker_count()) {}

void Scheduler::awakened(context* ready) noexcept {
    if (ready->is_context(boost::fibers::type::dispatcher_context)) {
        if (dispatcher_ == nullptr) {
            dispatcher_ = ready;
            worker_.equip_dispatcher(*ready);
        }
        dispatcher_ready_ = true;
        return;
    }
    happens_after(ready);  // it may come from another thread, by Boost's remote queue
    push(*ready);
}

void Scheduler::push(context& ready) noexcept {
    if (ready.is_context(boost::fibers::type::main_context) || control_of(ready).pinned) {
        ready.ready_link(pinned_);
        return;
    }
    ready_.push(&ready);
    if (!alone_ && idle_.someone_could_help() && ready_.size() >= kSurplusNow) {
        share_surplus();
    }
}

// Uninstrumented, as leave_for(): between its entry and its exit the thread changes stacks.
__attribute__((no_sanitize("thread"))) context* Scheduler::pick_next() noexcept {
    context* const next_context = next();
    note_run();
    if (next_context != nullptr && next_context != running_context()) {
        context* const left = running_.load(std::memory_order_relaxed);
        running_.store(next_context, std::memory_order_relaxed);
        leave_for(control_of(*left).switch_state, control_of(*next_context).switch_state,
                  exceptions_);
    }
    return next_context;
}

void Scheduler::note_run() noexcept {
    const std::uint64_t now = run_ticks();
    const std::uint64_t run = now - run_began_;
    run_began_ = now;
    if (run > notable_run_ && !on_dispatcher() && running_context() != main_) [[unlikely]] {
        note_notable_run(run);
    }
}

void Scheduler::note_notable_run(std::uint64_t run) noexcept {
    if (run > longest_run_.load(std::memory_order_relaxed)) {
        longest_run_.store(run, std::memory_order_relaxed);
    }
    const std::chrono::duration<double> time = worker_.core().to_time(run);
    if (time < kLongRun) {
        notable_run_ = run;
        return;
    }
    notable_run_ = static_cast<std::uint64_t>(static_cast<double>(run) * (kLongRun / time));
    if (!alone_) {
        idle_.raise_alert(Clock::now());
    }
}

context* Scheduler::next() noexcept {
    count_pick();
    if (poll_is_due_) {
        if (!on_dispatcher()) {
            return take_dispatcher();
        }
        (void)poll(Clock::time_point::min());
        if (!alone_) {
            watch_neighbours();
        }
    }
    context* const ready = take_ready();
    if (ready == nullptr) {
        return on_dispatcher() ? nullptr : take_dispatcher();
    }
    Worker::count(runs_);
    if (!alone_) {
        if (!at_work_.load(std::memory_order_relaxed)) {
            begin_work();
        }
        share_surplus();
    }
    return ready;
}

context* Scheduler::take_dispatcher() noexcept {
    COIR_ASSERT(dispatcher_ready_);
    dispatcher_ready_ = false;
    return dispatcher_;
}

context* Scheduler::take_ready() noexcept {
    context* const ready = forces_migration_ ? take_migrating() : take_queued();
    if (const context* const next = ready_.peek()) {
        prefetch_frames(next);
    }
    if (ready != nullptr && ready->get_scheduler() != &boost_) {
        // Boost counts the fibers of a scheduler in a list; a fiber that any thread may adopt must
        // not be in one. Nobody needs it: the runtime counts fibers itself.
        boost_.attach_worker_context(ready);
        ready->worker_unlink();
    }
    return ready;
}

context* Scheduler::take_migrating() noexcept {
    for (;;) {
        take_arrivals(*this, false);
        context* const ready = take_queued();
        if (ready == nullptr || !must_leave(*ready)) {
            return ready;
        }
        send_away(*ready);
    }
}

inline context* Scheduler::take_queued() noexcept {
    // In turns, so that neither kind can starve the other.
    pinned_first_ = !pinned_first_;
    context* ready = nullptr;
    if (pinned_first_ || (ready = ready_.pop()) == nullptr) {
        if (!pinned_.empty()) {
            ready = &pinned_.front();
            pinned_.pop_front();
        } else if (pinned_first_) {
            ready = ready_.pop();
        }
    }
    return ready;
}

bool Scheduler::must_leave(context& ready) const noexcept {
    FiberControl& fiber = control_of(ready);
    return ready.get_scheduler() == &boost_ && !fiber.pinned &&
           !ready.is_context(boost::fibers::type::main_context) &&
           !std::exchange(fiber.may_stay, false);
}

void Scheduler::send_away(context& ready) noexcept {
    Scheduler& next =
        worker_.core().worker((worker_.index() + 1) % worker_.core().worker_count()).scheduler();
    happens_before(&ready);
    next.arrivals_.push(ready);
    next.notify();
}

void Scheduler::take_arrivals(Scheduler& of, bool may_stay) noexcept {
    while (context* const arrived = of.arrivals_.pop()) {
        happens_after(arrived);
        control_of(*arrived).may_stay = may_stay;
        ready_.push(arrived);
    }
}

void Scheduler::count_pick() noexcept {
    // The clock is read at every fourth pick: it costs as much as the rest of this.
    ++picks_since_poll_;
    if (picks_since_poll_ >= kPollPicks ||
        ((picks_since_poll_ & 3) == 0 && coarse_now() != last_poll_)) {
        poll_is_due_ = true;
    }
}

bool Scheduler::nothing_waits() noexcept {
    count_pick();  // so that a fiber which is alone comes to the poller as well
    return !poll_is_due_ && ready_.empty() && pinned_.empty() && !forces_migration_;
}

bool Scheduler::has_ready_fibers() const noexcept {
    return dispatcher_ready_ || !ready_.empty() || !pinned_.empty() || !arrivals_.empty();
}

bool Scheduler::poll(Clock::time_point until) noexcept {
    ReadyList& ready = worker_.ready_list();
    ready.clear();
    worker_.poller().wait(until, ready);
    last_poll_ = coarse_now();
    picks_since_poll_ = 0;
    poll_is_due_ = false;
    for (Waiter* waiter : ready.waiters()) {
        wake(*waiter, WakeReason::ready);
    }
    const bool injected = take_injected();
    expire_deadlines(ready.waiters().empty());
    return injected || !ready.waiters().empty();
}

bool Scheduler::take_injected() noexcept {
    // A few at a time: other workers look here as well.
    int count = 0;
    for (; count != kInjectedBatch; ++count) {
        context* const injected = worker_.core().injected().pop();
        if (injected == nullptr) {
            break;
        }
        happens_after(injected);
        push(*injected);
    }
    return count != 0;
}

void Scheduler::expire_deadlines(bool exactly) noexcept {
    DeadlineWheel& deadlines = *worker_.deadlines();
    const auto next = deadlines.next_expiry();
    if (next == Clock::time_point::max()) {
        return;
    }
    // The coarse clock is a tick behind at most. But who slept until a deadline must see it pass, and a
    // sleep is to end when it was said to.
    auto now = coarse_now();
    if (exactly || next < now + kCoarseTick) {
        now = Clock::now();
    }
    if (next <= now) {
        deadlines.expire(now);
    }
}

void Scheduler::notify() noexcept {
    const State before = state_.exchange(State::notified, std::memory_order_seq_cst);
    if (before == State::sleeping) {
        wakeups_.fetch_add(1, std::memory_order_relaxed);
        worker_.poller().interrupt();
    }
    if (Worker::current() == &worker_ && finishing_ && on_dispatcher()) {
        // The one switch that does not come through pick_next(): when Boost's scheduler is
        // destroyed, its dispatcher says this and then returns to the thread's own stack.
        context* const left = running_.load(std::memory_order_relaxed);
        running_.store(main_, std::memory_order_relaxed);
        leave_for(control_of(*left).switch_state, control_of(*main_).switch_state, exceptions_);
    }
}

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
    std::array<context*, kStealBatch> loot;
    const std::size_t count =
        worker_.core().worker(victim).scheduler().steal(loot.data(), loot.size());
    for (std::size_t i = 0; i != count; ++i) {
        control_of(*loot[i]).may_stay = true;  // if it last ran here: its new worker hangs
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

void Scheduler::suspend_until(const Clock::time_point& until) noexcept {
    ready_.trim();
    if (alone_) {
        State awake = State::running;
        idle_.enter_sleep(worker_.index());
        if (state_.compare_exchange_strong(awake, State::sleeping, std::memory_order_seq_cst)) {
            const bool injected = !worker_.core().injected().empty();
            (void)poll(injected ? Clock::time_point::min()
                                : std::min(until, worker_.deadlines()->next_expiry()));
        }
        // Notified before it slept: what was left lies in Boost's remote queue or is injected, and
        // the dispatcher looks there next.
        state_.exchange(State::running, std::memory_order_seq_cst);
        if (idle_.leave_sleep(worker_.index())) {
            idle_.end_search();
        }
        return;
    }
    if (find_surplus()) {
        return;
    }
    watch_if_due();
    if (has_ready_fibers()) {
        return;
    }
    if (looks_pay_ >= 0) {
        const bool paid = poll(Clock::time_point::min());
        looks_pay_ = std::clamp(looks_pay_ + (paid ? 1 : -1), -2, 1);
        if (paid ||
            has_ready_fibers()) {  // what it was too early for before: a deadline has passed
            return;
        }
    }
    sleep(until);
}

void Scheduler::sleep(Clock::time_point until) noexcept {
    at_work_.store(false, std::memory_order_relaxed);
    idle_.enter_sleep(worker_.index());
    until = std::min(until, worker_.deadlines()->next_expiry());
    if (quiet_ >= kQuiet && others_are_at_work()) {
        quiet_ = {};  // pairs with replace_watchers(): one of the two sees the other
    }
    const bool watching = quiet_ < kQuiet && idle_.become_watcher();
    if (watching) {
        until = std::min(until, last_watch_ + watch_interval(last_watch_));
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
    const auto interval = watch_interval(now);
    if (now - last_watch_ < interval) {
        return;
    }
    last_watch_ = now;
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
    if (last_poll_ - last_watch_ < kWatchInterval) {
        return;
    }
    last_watch_ = last_poll_;
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
        wake(*waiter, WakeReason::ready);
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
