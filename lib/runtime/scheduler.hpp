#pragma once

#include <atomic>
#include <boost/fiber/algo/algorithm.hpp>
#include <boost/fiber/context.hpp>
#include <boost/fiber/scheduler.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/fiber_control.hpp"
#include "runtime/fiber_switch.hpp"
#include "runtime/injection_queue.hpp"
#include "runtime/run_timer.hpp"
#include "runtime/session_control.hpp"
#include "runtime/work_deque.hpp"

namespace coir::detail {

class Worker;
class IdleWorkers;

/// What one worker runs next, whom it robs and when it sleeps.
///
/// Boost.Fiber asks it at every switch. Each scheduler of Boost has a dispatcher fiber of its own,
/// and only there does this class poll, steal and sleep; every other fiber merely takes the next one
/// from the queue. (Where there is but one worker, a fiber may do so too, see wait_in_place() and
/// next_session().) The dispatcher runs when the queue is empty, and in between after as many picks as there were in
/// the queue the last time, kLeastPicks at least and kMostPicks at most, or when the kernel's coarse clock has moved on
/// (1 to 10 ms), so that ready fibers cannot starve I/O, timers and fibers woken by other threads.
///
/// Threads: its worker, except where said.
class Scheduler : public boost::fibers::algo::algorithm {
public:
    /// Called on the worker's thread.
    explicit Scheduler(Worker& worker);

    // What Boost asks. `awakened` takes a fiber that is ready, after it has left its stack.
    void awakened(boost::fibers::context* context) noexcept override;
    boost::fibers::context* pick_next() noexcept override;
    bool has_ready_fibers() const noexcept override;
    void suspend_until(const std::chrono::steady_clock::time_point& until) noexcept override;
    /// Threads: any. Ends a sleep; no system call if the worker does not sleep.
    void notify() noexcept override;

    /// Makes a fiber ready here that has left its stack, whichever worker it ran on.
    void push(boost::fibers::context& context) noexcept;
    /// The same for a session, which has no fiber.
    void push(SessionControl& session) noexcept;
    /// Runs the dispatcher's next sleep as the last: the thread is about to end.
    void finish() noexcept { finishing_ = true; }
    /// Gives up the dispatcher, for another algorithm. Requires: it is not running, and nothing is ready. It picks no more.
    [[nodiscard]] boost::fibers::context& release_dispatcher() noexcept {
        return *take_dispatcher();
    }

    [[nodiscard]] FiberControl& running() const noexcept {
        return control_of(*running_.load(std::memory_order_relaxed));
    }
    /// The same, to be compared only: it may end at any time. Threads: any.
    [[nodiscard]] const boost::fibers::context* running_context() const noexcept {
        return running_.load(std::memory_order_relaxed);
    }
    /// Whether nobody else runs fibers here: who waits leaves its stack only for another fiber of this worker.
    [[nodiscard]] bool is_alone() const noexcept { return alone_; }
    /// Instead of a suspension of `fiber`, the running one, whose waiter is in its slot: where it would be
    /// the dispatcher's turn, sleeps on the fiber's own stack. True if the fiber is ready then, and goes on;
    /// false if it has to be suspended after all. Requires: is_alone().
    [[nodiscard]] bool wait_in_place(const FiberControl& fiber) noexcept;
    /// A session that `carrier`, the running fiber, may go on with at once, because its turn has come and nobody
    /// else's; where there is but one worker, waits for one on the carrier's stack. Null if it is the dispatcher's
    /// turn, or another fiber's, or the carrier has been asked to stop.
    [[nodiscard]] SessionControl* next_session(const FiberControl& carrier) noexcept;
    /// A turn follows another of the same session at once.
    void count_turn() noexcept;
    /// A session has ended, and no stack with it: a wait in place needs no look for that.
    void forgive_end() noexcept { ++finished_seen_; }
    /// The dispatcher is to free what has ended, before somebody waits in place.
    void let_dispatcher_run() noexcept { poll_is_due_ = true; }
    /// Whether a yield would give way to nobody.
    [[nodiscard]] bool nothing_waits() noexcept;

    [[nodiscard]] boost::fibers::scheduler& boost_scheduler() const noexcept { return boost_; }
    [[nodiscard]] boost::fibers::context& main_context() const noexcept { return *main_; }

    // For other workers.
    [[nodiscard]] std::size_t steal(Runnable** into, std::size_t capacity) noexcept {
        return ready_.steal(into, capacity);
    }
    /// Whether it has run a fiber since it last went to sleep.
    [[nodiscard]] bool is_at_work() const noexcept {
        return at_work_.load(std::memory_order_seq_cst);
    }
    /// How often it has resumed a fiber, or begun a session's turn.
    [[nodiscard]] std::uint64_t runs() const noexcept {
        return runs_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t steals() const noexcept {
        return steals_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t wakeups() const noexcept {
        return wakeups_.load(std::memory_order_relaxed);
    }
    /// Fibers and sessions that are ready to run here, but for pinned ones.
    [[nodiscard]] std::size_t queued() const noexcept { return ready_.size() + arrivals_.size(); }
    /// As RuntimeStats::longest_run, in ticks of run_clock.
    [[nodiscard]] std::uint64_t longest_run() const noexcept { return run_timer_.longest(); }

private:
    using Clock = std::chrono::steady_clock;

    /// This many fibers in the queue are worth a thief's wake-up at once.
    static constexpr std::size_t kSurplusNow = 8;

    enum class State : std::uint32_t { running, notified, sleeping };

    [[nodiscard]] bool has_ready_fibers_of_ours() const noexcept;
    [[nodiscard]] boost::fibers::context* next() noexcept;
    [[nodiscard]] boost::fibers::context* take_dispatcher() noexcept;
    [[nodiscard]] boost::fibers::context* take_ready() noexcept;
    [[nodiscard]] bool on_dispatcher() const noexcept { return running_context() == dispatcher_; }
    void note_switch(const boost::fibers::context* next) noexcept;
    void note_run(bool is_long) noexcept;
    [[nodiscard]] Runnable* pop_ready() noexcept;
    [[nodiscard]] Runnable* take_queued() noexcept;
    [[nodiscard]] Runnable* take_migrating() noexcept;
    [[nodiscard]] SessionControl* take_session(const FiberControl& carrier) noexcept;
    [[nodiscard]] bool may_wait_on(const FiberControl& fiber, const void* frame) const noexcept;
    void push_stealable(Runnable* ready) noexcept;
    void begin_run() noexcept;
    [[nodiscard]] bool must_leave(boost::fibers::context& ready) const noexcept;
    void send_away(boost::fibers::context& ready) noexcept;
    void take_arrivals(Scheduler& of, bool may_stay) noexcept;
    void count_pick() noexcept;
    bool poll(Clock::time_point until) noexcept;
    bool take_injected(std::uint32_t most) noexcept;
    void expire_deadlines(bool exactly) noexcept;
    void share_surplus() noexcept;
    void wake_worker(int worker) noexcept;
    [[nodiscard]] bool rob(std::size_t victim) noexcept;
    [[nodiscard]] bool search() noexcept;
    bool find_surplus() noexcept;
    [[nodiscard]] Clock::time_point trim_stacks() noexcept;
    [[nodiscard]] Clock::time_point latest_end_of_sleep(Clock::time_point until) const noexcept;
    bool sleep_for_own_sake(Clock::time_point until) noexcept;
    void sleep(Clock::time_point until) noexcept;
    [[nodiscard]] bool others_are_at_work() const noexcept;
    void begin_work() noexcept;
    [[nodiscard]] Clock::duration watch_interval(Clock::time_point now) const noexcept;
    void watch_if_due() noexcept;
    void watch_neighbours() noexcept;
    enum class Seen { idle, moves_on, hangs };
    [[nodiscard]] Seen watch(std::size_t worker) noexcept;

    Worker& worker_;
    IdleWorkers& idle_;
    boost::fibers::scheduler& boost_;
    ExceptionState& exceptions_;
    const bool alone_;   // the only worker
    const bool shares_;  // takes work from others, and leaves them some
    const bool forces_migration_;
    bool finishing_ = false;

    boost::fibers::context* const main_;
    // Written by this worker, and looked at by others.
    std::atomic<boost::fibers::context*> running_;
    boost::fibers::context* dispatcher_ = nullptr;
    bool dispatcher_ready_ = false;
    WorkDeque<Runnable> ready_;
    // Fibers that must not leave: pinned ones and the thread's own context.
    boost::fibers::scheduler::ready_queue_type pinned_;

    // With forced migration: fibers that last ran elsewhere, and that nobody has taken in yet.
    InjectionQueue arrivals_;

    RunTimer run_timer_;
    bool poll_is_due_ = false;
    std::uint64_t finished_seen_ = 0;  // of the worker's fibers, when Boost last let go of such
    bool pinned_first_ = false;
    // Taken from the queue for a carrier that it does not suit, or where none rests: the next to run.
    SessionControl* unfit_ = nullptr;
    std::uint32_t picks_since_poll_ = 0;
    std::uint32_t picks_per_poll_ = 1;  // the first comes at once
    Clock::time_point last_poll_{};     // by the coarse clock
    // Since when surplus has been seen; zero: not yet.
    Clock::time_point surplus_since_{};
    // Two-bit predictor: whether to look before sleeping pays.
    int looks_pay_ = 0;
    Clock::duration quiet_{};               // since a watch() has last seen activity
    Clock::time_point next_watch_{};        // when to look after others again
    std::vector<std::uint64_t> runs_seen_;  // of each worker, at the last watch()
    std::vector<int> looks_in_vain_;        // in a row; counted with forced migration

    // running: at work. notified: somebody left something, look before sleeping. sleeping: in
    // epoll_wait, notify() must write the eventfd.
    alignas(64) std::atomic<State> state_{State::running};
    alignas(64) std::atomic<std::uint64_t> runs_{0};
    std::atomic<bool> at_work_{false};
    std::atomic<std::uint64_t> steals_{0};
    std::atomic<std::uint64_t> wakeups_{0};
};

}  // namespace coir::detail
