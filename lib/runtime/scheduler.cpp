#include "runtime/scheduler.hpp"

#include <algorithm>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "runtime/core.hpp"
#include "runtime/poll_callbacks.hpp"
#include "runtime/prefetch.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {
namespace {

using namespace std::chrono_literals;
using boost::fibers::context;

// As in Go's and userver's schedulers: a prime, so that it does not beat with what a program repeats.
constexpr std::uint32_t kLeastPicks = 61;
// So many that the queue does not fill with what is ready in the kernel, and no more: a poll brings kMaxEvents at most, and
// the dispatcher frees the stacks of fibers that have ended.
constexpr std::uint32_t kMostPicks = 4 * ReadyList::kMaxEvents;
// How far the coarse clock may be behind (a kernel with 100 Hz).
constexpr auto kCoarseTick = 10ms;
// The stack that is left where a fiber polls, at least; it takes a few hundred bytes more than to be suspended.
constexpr std::ptrdiff_t kRoomToPoll = 4096;
constexpr std::uint32_t kInjectedBatch = 32;

}  // namespace

Scheduler::Scheduler(Worker& worker)
    : worker_(worker),
      idle_(worker.core().idle()),
      boost_(*context::active()->get_scheduler()),
      exceptions_(thread_exception_state()),
      alone_(worker.core().worker_count() == 1),
      shares_(worker.core().steals()),
      forces_migration_(!alone_ && worker.core().forces_migration()),
      main_(context::active()),
      running_(main_),
      run_timer_(worker.core()),
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
    push_stealable(as_runnable(ready));
}

void Scheduler::push(SessionControl& session) noexcept {
    push_stealable(as_runnable(session));
}

void Scheduler::push_stealable(Runnable* ready) noexcept {
    ready_.push(ready);
    if (shares_ && idle_.someone_could_help() && ready_.size() >= kSurplusNow) {
        share_surplus();
    }
}

// Uninstrumented, as leave_for(): between its entry and its exit the thread changes stacks.
__attribute__((no_sanitize("thread"))) context* Scheduler::pick_next() noexcept {
    context* const next_context = next();
    note_switch(next_context);
    if (next_context != nullptr && next_context != running_context()) {
        context* const left = running_.load(std::memory_order_relaxed);
        running_.store(next_context, std::memory_order_relaxed);
        leave_for(control_of(*left).switch_state, control_of(*next_context).switch_state,
                  exceptions_);
    }
    return next_context;
}

void Scheduler::note_switch(const context* next) noexcept {
    const context* const left = running_context();
    if (left == dispatcher_ || left == main_) {
        run_timer_.begin();
        return;
    }
    note_run(next == dispatcher_ || next == main_ ? run_timer_.end_last_run()
                                                  : run_timer_.end_run());
}

void Scheduler::note_run(bool is_long) noexcept {
    if (is_long && shares_) [[unlikely]] {
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
        if (shares_) {
            watch_neighbours();
        }
    }
    context* const ready = take_ready();
    if (ready == nullptr) {
        return on_dispatcher() ? nullptr : take_dispatcher();
    }
    begin_run();
    return ready;
}

void Scheduler::count_turn() noexcept {
    Worker::count(runs_);
}

void Scheduler::begin_run() noexcept {
    Worker::count(runs_);
    prefetch_ahead(ready_, shares_);
    if (shares_) {
        if (!at_work_.load(std::memory_order_relaxed)) {
            begin_work();
        }
        share_surplus();
    }
}

context* Scheduler::take_dispatcher() noexcept {
    COIR_ASSERT(dispatcher_ready_);
    dispatcher_ready_ = false;
    return dispatcher_;
}

context* Scheduler::take_ready() noexcept {
    context* ready = nullptr;
    while (ready == nullptr) {
        Runnable* const next = forces_migration_ ? take_migrating() : take_queued();
        if (next == nullptr) {
            return nullptr;
        }
        if (!is_session(next)) {
            ready = &context_of(next);
        } else if (!on_dispatcher() && !worker_.carriers().has_one_for(session_of(next)))
            [[unlikely]] {
            unfit_ = &session_of(next);  // the dispatcher has room to make one
            return nullptr;
        } else if (FiberControl* const carrier = worker_.carriers().take_for(session_of(next))) {
            ready = carrier->context();
        }
    }
    if (ready->get_scheduler() != &boost_) {
        // Boost counts the fibers of a scheduler in a list; a fiber that any thread may adopt must
        // not be in one. Nobody needs it: the runtime counts fibers itself.
        boost_.attach_worker_context(ready);
        ready->worker_unlink();
    }
    return ready;
}

Runnable* Scheduler::take_migrating() noexcept {
    for (;;) {
        take_arrivals(*this, false);
        Runnable* const ready = take_queued();
        // A turn begins wherever the session came to be ready, as a new fiber does.
        if (ready == nullptr || is_session(ready) || !must_leave(context_of(ready))) {
            return ready;
        }
        send_away(context_of(ready));
    }
}

inline Runnable* Scheduler::pop_ready() noexcept {
    return alone_ ? ready_.pop_alone() : ready_.pop();
}

inline Runnable* Scheduler::take_queued() noexcept {
    if (unfit_ != nullptr) [[unlikely]] {
        return as_runnable(*std::exchange(unfit_, nullptr));
    }
    // In turns, so that neither kind can starve the other.
    pinned_first_ = !pinned_first_;
    Runnable* ready = nullptr;
    if (pinned_first_ || (ready = pop_ready()) == nullptr) {
        if (!pinned_.empty()) {
            ready = as_runnable(pinned_.front());
            pinned_.pop_front();
        } else if (pinned_first_) {
            ready = pop_ready();
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
        ready_.push(as_runnable(*arrived));
    }
}

void Scheduler::count_pick() noexcept {
    ++picks_since_poll_;
    if (picks_since_poll_ >= picks_per_poll_ || coarse_now() != last_poll_) {
        poll_is_due_ = true;
    }
}

bool Scheduler::nothing_waits() noexcept {
    if (!ready_.empty() || !pinned_.empty() || forces_migration_) {
        return false;  // the switch will count
    }
    count_pick();  // so that a fiber which is alone comes to the poller as well
    return !poll_is_due_;
}

bool Scheduler::has_ready_fibers() const noexcept {
    return dispatcher_ready_ || has_ready_fibers_of_ours();
}

bool Scheduler::has_ready_fibers_of_ours() const noexcept {
    return !ready_.empty() || !pinned_.empty() || !arrivals_.empty() || unfit_ != nullptr;
}

bool Scheduler::poll(Clock::time_point until) noexcept {
    ReadyList& ready = worker_.ready_list();
    ready.clear();
    worker_.poller().wait(until, ready);
    last_poll_ = coarse_now();
    const std::uint32_t picks = std::exchange(picks_since_poll_, 0);
    poll_is_due_ = false;
    for (Waiter* waiter : ready.waiters()) {
        wake(*waiter, WakeReason::ready, &worker_);
    }
    if (SessionControl* const waiting = worker_.carriers().take_for_another_try()) [[unlikely]] {
        push(*waiting);
    }
    const bool injected = take_injected(std::max(kInjectedBatch, picks / 2));
    expire_deadlines(ready.waiters().empty());
    // What becomes ready from now on, and is not pinned, has its turn behind these. To ask for it earlier would only let
    // what epoll has touched of it leave the caches before it is read.
    picks_per_poll_ =
        static_cast<std::uint32_t>(std::clamp<std::size_t>(ready_.size(), kLeastPicks, kMostPicks));
    return injected || !ready.waiters().empty();
}

bool Scheduler::take_injected(std::uint32_t most) noexcept {
    // Not all at a time: other workers look here as well.
    std::uint32_t count = 0;
    for (; count != most; ++count) {
        context* const injected = worker_.core().injected().pop();
        if (injected == nullptr) {
            break;
        }
        happens_after(injected);
        push(*injected);
    }
    for (std::uint32_t sessions = 0; sessions != most; ++sessions, ++count) {
        SessionControl* const injected = worker_.core().injected().pop_session();
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
    auto now = last_poll_;
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

inline bool Scheduler::may_wait_on(const FiberControl& fiber, const void* frame) const noexcept {
    return !poll_is_due_ && !fiber.pinned && !has_ready_fibers_of_ours() && !finishing_ &&
           poll_callbacks.load(std::memory_order_relaxed) == 0 &&
           static_cast<const std::byte*>(frame) - fiber.stack.bottom() >= kRoomToPoll &&
           finished_seen_ == worker_.finished.load(std::memory_order_relaxed);
}

bool Scheduler::wait_in_place(const FiberControl& fiber) noexcept {
    COIR_ASSERT(alone_);
    if (!may_wait_on(fiber, __builtin_frame_address(0))) {
        return false;
    }
    count_pick();
    note_run(run_timer_.end_last_run());
    // Notified: what was left may lie in Boost's remote queue, where only the dispatcher looks. To trim the
    // stacks is for the dispatcher as well, which has room for it.
    poll_is_due_ = sleep_for_own_sake(worker_.stacks().next_trim()) || poll_is_due_;
    run_timer_.begin();
    // Who is not the first is not picked before it has left its stack.
    if (ready_.peek() != as_runnable(*fiber.context())) {
        return false;
    }
    (void)ready_.pop_alone();
    Worker::count(runs_);
    return true;
}

inline SessionControl* Scheduler::take_session(const FiberControl& carrier) noexcept {
    Carriers& carriers = worker_.carriers();
    const SessionControl* const waiting = carriers.first_waiting();
    if (waiting != nullptr && carriers.suits(carrier, *waiting)) [[unlikely]] {
        return carriers.take_waiting();
    }
    const auto wanted = [](const Runnable* next) { return is_session(next); };
    Runnable* const ready = alone_ ? ready_.pop_alone_if(wanted) : ready_.pop_if(wanted);
    if (ready == nullptr) {
        return nullptr;
    }
    SessionControl& session = session_of(ready);  // looked at only now that it is ours
    if (!carriers.suits(carrier, session)) [[unlikely]] {
        unfit_ = &session;
        return nullptr;
    }
    return &session;
}

SessionControl* Scheduler::next_session(const FiberControl& carrier) noexcept {
    count_pick();
    if (poll_is_due_ || !pinned_.empty() || carrier.stop.is_requested()) {
        return nullptr;
    }
    SessionControl* session = take_session(carrier);
    if (session == nullptr && alone_ && may_wait_on(carrier, __builtin_frame_address(0))) {
        note_run(run_timer_.end_last_run());
        poll_is_due_ = sleep_for_own_sake(worker_.stacks().next_trim()) || poll_is_due_;
        run_timer_.begin();
        // Who asks the carrier to stop meanwhile does not mean the next one.
        const bool is_over = poll_is_due_ || carrier.stop.is_requested();
        session = is_over ? nullptr : take_session(carrier);
    } else if (session != nullptr) {
        note_run(run_timer_.end_run());
    }
    if (session != nullptr) {
        begin_run();
    }
    return session;
}

// Gives up warm stacks that nobody has needed for long, and returns when to come again for others.
Scheduler::Clock::time_point Scheduler::trim_stacks() noexcept {
    StackCache& stacks = worker_.stacks();
    const auto due = stacks.next_trim();
    if (due == Clock::time_point::max() || due >= coarse_now() + kCoarseTick) {
        return due;
    }
    stacks.trim(Clock::now());
    return stacks.next_trim();
}

Scheduler::Clock::time_point Scheduler::latest_end_of_sleep(
    Clock::time_point until) const noexcept {
    if (worker_.carriers().first_waiting() != nullptr) [[unlikely]] {
        until =
            std::min(until, Clock::now() + Carriers::kPause);  // nobody tells when there is memory
    }
    return std::min(until, worker_.deadlines()->next_expiry());
}

// Without an eye on other workers. Returns whether somebody has left something before it or during it.
bool Scheduler::sleep_for_own_sake(Clock::time_point until) noexcept {
    ready_.trim();
    if (!alone_) {
        idle_.enter_sleep(worker_.index());
    }
    State awake = State::running;
    if (state_.compare_exchange_strong(awake, State::sleeping, std::memory_order_seq_cst)) {
        // pairs with RuntimeCore::inject(): either it sees us asleep, or we see what it has injected
        const bool injected = !worker_.core().injected().empty();
        (void)poll(injected ? Clock::time_point::min() : latest_end_of_sleep(until));
    }
    const bool notified =
        state_.exchange(State::running, std::memory_order_seq_cst) == State::notified;
    if (!alone_ && idle_.leave_sleep(worker_.index())) {
        idle_.end_search();
    }
    return notified;
}

void Scheduler::suspend_until(const Clock::time_point& until) noexcept {
    if (!shares_) {
        // What was left meanwhile lies in Boost's remote queue or is injected: the dispatcher looks there next.
        (void)sleep_for_own_sake(std::min(until, trim_stacks()));
        // Boost has let go of the fibers that have ended.
        finished_seen_ = worker_.finished.load(std::memory_order_relaxed);
        return;
    }
    ready_.trim();
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
    sleep(std::min(until, trim_stacks()));
}

}  // namespace coir::detail
