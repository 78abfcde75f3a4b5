#pragma once

#include <atomic>
#include <cstdint>

#include "coir/base/assert.hpp"
#include "runtime/fiber_control.hpp"
#include "runtime/waiter.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {

template <typename BeforeLeaving>
WakeReason park(Worker& worker, std::atomic<std::uintptr_t>& slot, const Wait& wait,
                BeforeLeaving before_leaving) noexcept {
    FiberControl& fiber = worker.running_fiber();
    const bool obeys = fiber.task.obeys(wait.stops);
    if (obeys && fiber.stop.is_requested()) {
        return WakeReason::canceled;
    }
    if (const auto early = slot.load(std::memory_order_acquire); early != kSlotEmpty) {
        COIR_ASSERT(!holds_waiter(early));  // somebody else waits here
        return consume(slot);
    }
    Waiter waiter;
    waiter.fiber = &fiber;
    if (obeys && !fiber.stop.begin_wait(slot, waiter)) {
        return WakeReason::canceled;
    }
    worker.begin_wait(fiber, wait);  // before anybody can wake it, which takes that back
    // Keeps other workers from running the fiber before it has left its stack. Alone, there are none.
    auto& parking = fiber.parking_guard();
    const bool alone = worker.scheduler().is_alone();
    if (!alone) {
        parking.lock();
    }
    const auto unlock = [&parking, alone] {
        if (!alone) {
            parking.unlock();
        }
    };
    const auto address = reinterpret_cast<std::uintptr_t>(&waiter);
    std::uintptr_t held = kSlotEmpty;
    // pairs with claim(): whoever takes the waiter out sees all of it
    if (!slot.compare_exchange_strong(held, address, std::memory_order_seq_cst,
                                      std::memory_order_acquire)) {
        unlock();
        if (obeys) {
            fiber.stop.end_wait(slot);
        }
        worker.abandon_wait(fiber);
        return consume(slot);
    }
    held = address;
    // pairs with StopState::take_effect(): either it finds the waiter in the slot, or this sees the request
    if (obeys && fiber.stop.is_requested() &&
        slot.compare_exchange_strong(held, kSlotEmpty, std::memory_order_seq_cst)) {
        unlock();
        fiber.stop.end_wait(slot);
        worker.abandon_wait(fiber);
        return WakeReason::canceled;
    }
    before_leaving();
    fiber.about_to_park();
    if (!alone) {
        fiber.context()->suspend(parking);
        // Perhaps on another worker now; `worker` is not to be used any more.
    } else if (!worker.scheduler().wait_in_place(fiber)) {
        fiber.context()->suspend();
    }
    if (obeys) {
        fiber.stop.end_wait(slot);
    }
    return waiter.reason;
}

}  // namespace coir::detail
