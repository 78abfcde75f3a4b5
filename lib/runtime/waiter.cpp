#include "runtime/waiter.hpp"

#include <mutex>

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

namespace {

/// Takes the event that came first: closed stays closed, ready is used up.
WakeReason consume(std::atomic<std::uintptr_t>& slot) noexcept {
    std::uintptr_t held = kSlotReady;
    if (slot.compare_exchange_strong(held, kSlotEmpty, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
        return WakeReason::ready;
    }
    return WakeReason::canceled;  // only closing can have come in between
}

}  // namespace

WakeReason park(Worker& worker, std::atomic<std::uintptr_t>& slot, Deadline deadline) noexcept {
    if (slot.load(std::memory_order_acquire) != kSlotEmpty) {
        return consume(slot);
    }
    Waiter waiter;
    waiter.fiber = &worker.running_fiber();
    waiter.slot = &slot;
    if (!deadline.is_never()) {
        worker.arm_timer(waiter, deadline.time_point());
    }
    boost::fibers::detail::spinlock_lock parking(waiter.fiber->parking);
    std::uintptr_t held = kSlotEmpty;
    // pairs with claim(): whoever takes the waiter out sees all of it
    if (!slot.compare_exchange_strong(held, reinterpret_cast<std::uintptr_t>(&waiter),
                                      std::memory_order_acq_rel, std::memory_order_acquire)) {
        parking.unlock();
        worker.disarm_timer(waiter);
        return consume(slot);
    }
    happens_before(&waiter.fiber->parking);
    waiter.fiber->context()->suspend(parking);
    // Perhaps on another worker now; `worker` is not to be used any more.
    return waiter.reason;
}

void wake(Waiter& waiter, WakeReason reason) noexcept {
    if (waiter.timer_worker != nullptr) {
        waiter.timer_worker->disarm_timer(waiter);
    }
    waiter.reason = reason;
    Worker::make_ready(*waiter.fiber);
}

}  // namespace coir::detail
