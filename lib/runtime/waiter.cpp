#include "runtime/waiter.hpp"

#include "coir/base/assert.hpp"
#include "runtime/fiber_control.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {

Waiter* claim(std::atomic<std::uintptr_t>& slot, std::uintptr_t replacement,
              std::uintptr_t otherwise) noexcept {
    std::uintptr_t held = slot.load(std::memory_order_acquire);
    for (;;) {
        const bool waits = holds_waiter(held);
        const std::uintptr_t next = waits ? replacement : otherwise;
        if (held == kSlotClosed || held == next) {
            return nullptr;
        }
        // pairs with the compare-exchange in park()
        if (slot.compare_exchange_weak(held, next, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
            return waits ? reinterpret_cast<Waiter*>(held) : nullptr;
        }
    }
}

WakeReason consume(std::atomic<std::uintptr_t>& slot) noexcept {
    std::uintptr_t held = kSlotReady;
    if (slot.compare_exchange_strong(held, kSlotEmpty, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
        return WakeReason::ready;
    }
    return WakeReason::canceled;  // only closing can have come in between
}

void wake(Waiter& waiter, WakeReason reason) noexcept {
    wake(waiter, reason, Worker::current());
}

void wake(Waiter& waiter, WakeReason reason, Worker* here) noexcept {
    waiter.reason = reason;
    if (waiter.fiber != nullptr) {
        Worker::make_ready(*waiter.fiber, here);
    } else {
        auto& foreign = static_cast<ForeignWaiter&>(waiter);
        foreign.wake(foreign, here);
    }
}

void ThreadWaiter::wake_thread(ForeignWaiter& waiter, Worker*) noexcept {
    auto& thread = static_cast<ThreadWaiter&>(waiter);
    // Told while the mutex is held: the thread may end, and this with it, as soon as it is free.
    const std::lock_guard lock(thread.mutex_);
    thread.woken_ = true;
    thread.changed_.notify_one();
}

bool ThreadWaiter::wait(Deadline deadline) noexcept {
    std::unique_lock lock(mutex_);
    const auto is_woken = [this] { return woken_; };
    if (deadline.is_never()) {
        changed_.wait(lock, is_woken);
        return true;
    }
    return changed_.wait_until(lock, deadline.time_point(), is_woken);
}

WakeReason park_thread(std::atomic<std::uintptr_t>& slot, Deadline deadline) noexcept {
    if (const auto early = slot.load(std::memory_order_acquire); early != kSlotEmpty) {
        COIR_ASSERT(!holds_waiter(early));  // somebody else waits here
        return consume(slot);
    }
    ThreadWaiter waiter;
    const auto address = reinterpret_cast<std::uintptr_t>(static_cast<Waiter*>(&waiter));
    std::uintptr_t held = kSlotEmpty;
    // pairs with claim(): whoever takes the waiter out sees all of it
    if (!slot.compare_exchange_strong(held, address, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return consume(slot);
    }
    if (!waiter.wait(deadline)) {
        held = address;
        if (slot.compare_exchange_strong(held, kSlotEmpty, std::memory_order_acq_rel)) {
            return WakeReason::timed_out;
        }
        (void)waiter.wait(Deadline::never());  // it has just been taken out, so it will be woken
    }
    return waiter.reason;
}

}  // namespace coir::detail
