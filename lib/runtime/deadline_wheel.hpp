#pragma once

#include <algorithm>
#include <atomic>
#include <boost/intrusive/set.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "coir/base/spin_lock.hpp"
#include "runtime/timer_wheel.hpp"

namespace coir::detail {

class IoDeadline;

/// The end of one sleep, in the frame of whoever sleeps.
struct Sleep : boost::intrusive::set_base_hook<> {
    Sleep(std::atomic<std::uintptr_t>& its_slot, TimerWheel::TimePoint its_end) noexcept
        : slot(its_slot), end(its_end) {}

    std::atomic<std::uintptr_t>& slot;
    const TimerWheel::TimePoint end;

    friend bool operator<(const Sleep& a, const Sleep& b) noexcept { return a.end < b.end; }
};

/// One worker's timers, which other threads may touch: a deadline can be left by whoever frees a
/// descriptor, and a worker that hangs has others look after its timers. Outlives its worker as long as
/// a descriptor is in it.
///
/// Deadlines of waits, which hardly ever pass, lie in a coarse wheel; sleeps, which always end by
/// their timer, in an exact order.
class DeadlineWheel final {
public:
    explicit DeadlineWheel(TimerWheel::TimePoint start) noexcept : wheel_(start) {}

    /// A point at which expire() may have something to do; too early where what was due then has gone.
    /// Cost: a load. Threads: the worker.
    [[nodiscard]] TimerWheel::TimePoint next_expiry() const noexcept {
        return TimerWheel::TimePoint(
            TimerWheel::Clock::duration(next_.load(std::memory_order_relaxed)));
    }
    /// Times out every wait whose deadline has passed. Threads: any worker.
    void expire(TimerWheel::TimePoint now) noexcept;

    /// Lets every node go: the worker ends, though descriptors may live on.
    void end() noexcept;

    /// Ends the wait in `sleep.slot` when it is time. Requires: the waiter is in the slot.
    void add(Sleep& sleep) noexcept;
    /// Afterwards nobody touches it any more. Not needed if the sleep has ended by its time.
    void remove(Sleep& sleep) noexcept;

private:
    friend class IoDeadline;

    using Count = TimerWheel::TimePoint::rep;

    void end_sleeps(TimerWheel::TimePoint now) noexcept;
    /// Puts it into the wheel. Under lock_.
    void arm(IoDeadline& deadline, Count at) noexcept;
    /// That something is due then. Under lock_.
    void note_due(TimerWheel::TimePoint at) noexcept;

    // What next_expiry() says. Only the worker adds, so it sees its own additions. Written under lock_.
    std::atomic<Count> next_{TimerWheel::TimePoint::max().time_since_epoch().count()};
    SpinLock lock_;
    boost::intrusive::multiset<Sleep> sleeps_;  // under lock_
    TimerWheel wheel_;                          // under lock_; its nodes are IoDeadlines
};

/// The deadline of the waits in one slot, which is renewed with every wait and almost never passes.
///
/// The problem: arming and disarming a timer around each read costs more than the rest of the wait.
/// So the node stays in the wheel: a wait only stores its deadline, and when the node comes up it
/// is armed anew if the deadline has moved on. In the steady state a connection touches the wheel
/// once per timeout, not once per request.
class IoDeadline final : public TimerNode {
public:
    /// Before the waiter is put into the slot: from when on the wait may be timed out.
    void set(TimerWheel::TimePoint deadline) noexcept {
        deadline_.store(deadline.time_since_epoch().count(), std::memory_order_relaxed);
    }
    /// After that: makes sure that the node comes up in time. `wheel` is the calling worker's,
    /// `runtime` the number of its runtime: the wheels of others may turn no more.
    void ensure_armed(std::atomic<std::uintptr_t>& slot,
                      const std::shared_ptr<DeadlineWheel>& wheel, std::uint64_t runtime) noexcept {
        const Count deadline = deadline_.load(std::memory_order_relaxed);
        if (deadline == kNever) {
            return;
        }
        // pairs with the store in expire(): either it sees the waiter, or this sees the node gone
        if (comes_up_.load(std::memory_order_seq_cst) > deadline || runtime_ != runtime) {
            arm(slot, wheel);
            runtime_ = runtime;
        }
    }
    /// Takes the node out. Requires: nobody waits in the slot.
    void reset() noexcept;

    /// How far into the object set() and ensure_armed() read, unless it has to be armed.
    [[nodiscard]] static consteval std::size_t bytes_read() noexcept;

private:
    friend class DeadlineWheel;

    using Count = TimerWheel::TimePoint::rep;
    static constexpr Count kNever = TimerWheel::TimePoint::max().time_since_epoch().count();

    void arm(std::atomic<std::uintptr_t>& slot,
             const std::shared_ptr<DeadlineWheel>& wheel) noexcept;
    void leave_wheel() noexcept;

    // Steady-clock counts. comes_up_ is kNever while the node is in no wheel.
    std::atomic<Count> deadline_{kNever};
    std::atomic<Count> comes_up_{kNever};
    // The number of the runtime in which the node was last armed. Of the waiting fiber.
    std::uint64_t runtime_ = 0;
    // The slot whose waits this times out.
    std::atomic<std::uintptr_t>* slot_ = nullptr;
    // The wheel that the node was last put into. Written by the waiting fiber and by reset().
    std::shared_ptr<DeadlineWheel> wheel_;
};

// Both compilers lay out a class with private members as one without.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
consteval std::size_t IoDeadline::bytes_read() noexcept {
    return std::max({offsetof(IoDeadline, deadline_) + sizeof(deadline_),
                     offsetof(IoDeadline, comes_up_) + sizeof(comes_up_),
                     offsetof(IoDeadline, runtime_) + sizeof(runtime_)});
}
#pragma GCC diagnostic pop

}  // namespace coir::detail
