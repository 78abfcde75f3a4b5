#include "runtime/deadline_wheel.hpp"

#include <algorithm>

#include "runtime/fiber_control.hpp"
#include "runtime/session_control.hpp"
#include "runtime/waiter.hpp"

namespace coir::detail {
namespace {

/// Puts a waiter back that has been taken out of its slot by mistake. Returns kSlotEmpty, or what has come
/// meanwhile: the waiter is to be woken with that.
std::uintptr_t put_back(std::atomic<std::uintptr_t>& slot, Waiter& waiter) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(&waiter);
    FiberControl* const fiber = waiter.fiber;
    if (fiber != nullptr) {
        fiber->stop.pin();  // as soon as the waiter is back, others may wake it
    }
    std::uintptr_t found = kSlotEmpty;
    while (slot.compare_exchange_strong(found, address, std::memory_order_seq_cst)) {
        // pairs with StopState::take_effect(), which may have found the slot empty
        std::uintptr_t held = address;
        if (fiber == nullptr || !fiber->stop.must_leave(slot) ||
            !slot.compare_exchange_strong(held, kSlotEmpty, std::memory_order_seq_cst)) {
            break;
        }
        // Asked once more, now that the fiber cannot go on: it may be in its next wait, behind a Shield.
        if (fiber->stop.must_leave(slot)) {
            found = kSlotClosed;
            break;
        }
    }
    if (found == kSlotReady) {
        slot.compare_exchange_strong(found, kSlotEmpty, std::memory_order_acq_rel);
    }
    if (fiber != nullptr) {
        fiber->stop.unpin();
    }
    return found;
}

}  // namespace

void DeadlineWheel::note_due(TimerWheel::TimePoint at) noexcept {
    if (at < next_expiry()) {
        next_.store(at.time_since_epoch().count(), std::memory_order_relaxed);
    }
}

void DeadlineWheel::arm(IoDeadline& deadline, Count at) noexcept {
    deadline.comes_up_.store(at, std::memory_order_seq_cst);
    note_due(wheel_.arm(deadline, TimerWheel::TimePoint(TimerWheel::Clock::duration(at))));
}

void DeadlineWheel::add(Sleep& sleep) noexcept {
    const std::lock_guard lock(lock_);
    sleeps_.insert(sleep);
    note_due(sleep.end);
}

void DeadlineWheel::remove(Sleep& sleep) noexcept {
    const std::lock_guard lock(lock_);
    if (sleep.is_linked()) {
        sleeps_.erase(sleeps_.iterator_to(sleep));
    }
}

void DeadlineWheel::end_sleeps(TimerWheel::TimePoint now) noexcept {
    for (;;) {
        std::uintptr_t held;
        {
            const std::lock_guard lock(lock_);
            if (sleeps_.empty() || sleeps_.begin()->end > now) {
                return;
            }
            Sleep& sleep = *sleeps_.begin();
            sleeps_.erase(sleeps_.begin());
            held = sleep.slot.exchange(kSlotEmpty, std::memory_order_acq_rel);
        }
        if (holds_waiter(held)) {  // else it has been asked to stop
            wake(*reinterpret_cast<Waiter*>(held), WakeReason::timed_out);
        }
    }
}

void DeadlineWheel::expire(TimerWheel::TimePoint now) noexcept {
    end_sleeps(now);
    const auto now_count = now.time_since_epoch().count();
    for (;;) {
        Waiter* expired = nullptr;
        std::uintptr_t came_first = kSlotEmpty;
        {
            const std::lock_guard lock(lock_);
            TimerNode* const node = wheel_.expire(now);
            if (node == nullptr) {
                // At once: the worker reads it without the lock, perhaps for a long sleep.
                const auto next = wheel_.next_expiry();
                next_.store((sleeps_.empty() ? next : std::min(next, sleeps_.begin()->end))
                                .time_since_epoch()
                                .count(),
                            std::memory_order_relaxed);
                return;
            }
            auto& deadline = static_cast<IoDeadline&>(*node);
            // Gone first, then the look: pairs with ensure_armed().
            deadline.comes_up_.store(IoDeadline::kNever, std::memory_order_seq_cst);
            const auto rearm = [&](IoDeadline::Count at) {
                if (at != IoDeadline::kNever) {
                    arm(deadline, at);
                }
            };
            std::uintptr_t held = deadline.slot_->load(std::memory_order_seq_cst);
            if (!holds_waiter(held)) {
                continue;
            }
            if (const auto due = deadline.deadline_.load(std::memory_order_relaxed);
                due > now_count) {
                rearm(due);
                continue;
            }
            if (!deadline.slot_->compare_exchange_strong(held, kSlotEmpty,
                                                         std::memory_order_acq_rel)) {
                continue;  // woken in this moment; its next wait will arm the node
            }
            expired = reinterpret_cast<Waiter*>(held);
            // The fiber may have been woken and have come to wait again, in the same frame, between
            // the two looks. Then it gets its place back, or what has come meanwhile.
            if (const auto due = deadline.deadline_.load(std::memory_order_relaxed);
                due > now_count) {
                // A session has nothing that would keep it while it is put back: a wait that ends for nothing.
                came_first =
                    is_session(*expired) ? kSlotReady : put_back(*deadline.slot_, *expired);
                if (came_first == kSlotEmpty) {
                    rearm(due);
                    continue;
                }
            }
        }
        wake(*expired, came_first == kSlotEmpty   ? WakeReason::timed_out
                       : came_first == kSlotReady ? WakeReason::ready
                                                  : WakeReason::canceled);
    }
}

void DeadlineWheel::end() noexcept {
    const std::lock_guard lock(lock_);
    while (TimerNode* const node = wheel_.expire(TimerWheel::TimePoint::max())) {
        static_cast<IoDeadline&>(*node).comes_up_.store(IoDeadline::kNever,
                                                        std::memory_order_seq_cst);
    }
}

void IoDeadline::leave_wheel() noexcept {
    if (wheel_ == nullptr) {
        return;
    }
    const std::lock_guard lock(wheel_->lock_);
    wheel_->wheel_.disarm(*this);
    comes_up_.store(kNever, std::memory_order_relaxed);
}

void IoDeadline::arm(std::atomic<std::uintptr_t>& slot,
                     const std::shared_ptr<DeadlineWheel>& wheel) noexcept {
    leave_wheel();
    slot_ = &slot;
    if (wheel_ != wheel) {
        wheel_ = wheel;
    }
    const Count at = deadline_.load(std::memory_order_relaxed);
    const std::lock_guard lock(wheel_->lock_);
    wheel_->arm(*this, at);
}

void IoDeadline::reset() noexcept {
    leave_wheel();
    wheel_.reset();
    deadline_.store(kNever, std::memory_order_relaxed);
}

}  // namespace coir::detail
