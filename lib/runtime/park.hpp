#pragma once

#include <atomic>
#include <cstdint>

#include "coir/base/assert.hpp"
#include "runtime/fiber_control.hpp"
#include "runtime/waiter.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {

template <typename BeforeLeaving>
WakeReason park(Worker& worker, std::atomic<std::uintptr_t>& slot,
                BeforeLeaving before_leaving) noexcept {
    if (const auto early = slot.load(std::memory_order_acquire); early != kSlotEmpty) {
        COIR_ASSERT(!holds_waiter(early));  // somebody else waits here
        return consume(slot);
    }
    Waiter waiter;
    waiter.fiber = &worker.running_fiber();
    auto& parking = waiter.fiber->parking_guard();
    parking.lock();
    std::uintptr_t held = kSlotEmpty;
    // pairs with claim(): whoever takes the waiter out sees all of it
    if (!slot.compare_exchange_strong(held, reinterpret_cast<std::uintptr_t>(&waiter),
                                      std::memory_order_seq_cst, std::memory_order_acquire)) {
        parking.unlock();
        return consume(slot);
    }
    before_leaving();
    waiter.fiber->about_to_park();
    waiter.fiber->context()->suspend(parking);
    // Perhaps on another worker now; `worker` is not to be used any more.
    return waiter.reason;
}

}  // namespace coir::detail
