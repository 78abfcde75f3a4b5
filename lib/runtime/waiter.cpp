#include "runtime/waiter.hpp"

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

void wake(Waiter& waiter, WakeReason reason) noexcept {
    waiter.reason = reason;
    Worker::make_ready(*waiter.fiber);
}

}  // namespace coir::detail
