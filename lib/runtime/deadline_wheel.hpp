#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "coir/base/spin_lock.hpp"
#include "runtime/timer_wheel.hpp"

namespace coir::detail {

class IoDeadline;

/// One worker's timer wheel, which other threads may touch: it can be left by whoever frees a
/// descriptor. Outlives its worker as long as a descriptor is in it.
class DeadlineWheel final {
public:
    explicit DeadlineWheel(TimerWheel::TimePoint start) noexcept : wheel_(start) {}

    /// A point at which expire() may have something to do.
    [[nodiscard]] TimerWheel::TimePoint next_expiry() noexcept;
    /// Times out every wait whose deadline has passed. Threads: any worker.
    void expire(TimerWheel::TimePoint now) noexcept;

    /// Lets every node go: the worker ends, though descriptors may live on.
    void end() noexcept;

private:
    friend class IoDeadline;

    SpinLock lock_;
    TimerWheel wheel_;  // under lock_; its nodes are IoDeadlines
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
    // The slot whose waits this times out.
    std::atomic<std::uintptr_t>* slot_ = nullptr;
    // The number of the runtime in which the node was last armed. Of the waiting fiber.
    std::uint64_t runtime_ = 0;
    // The wheel that the node was last put into. Written by the waiting fiber and by reset().
    std::shared_ptr<DeadlineWheel> wheel_;
};

}  // namespace coir::detail
