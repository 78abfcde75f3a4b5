#include "runtime/stop_state.hpp"

#include <mutex>
#include <thread>
#include <utility>

#include "coir/runtime/scope.hpp"
#include "runtime/fiber_control.hpp"
#include "runtime/waiter.hpp"

namespace coir::detail {

std::stop_token StopState::token() {
    {
        const std::lock_guard lock(lock_);
        if (source_.stop_possible()) {
            return source_.get_token();
        }
    }
    // Allocates, which is not for a spin lock; only the fiber itself comes here.
    auto trigger = std::make_unique<StopTrigger>();
    std::stop_source fresh = trigger->source;
    const std::lock_guard lock(lock_);
    source_ = fresh;
    // A request that came in between may have found no trigger.
    if (is_requested()) {
        (void)fresh.request_stop();  // nobody has a callback yet
    } else {
        trigger_ = std::move(trigger);
    }
    return fresh.get_token();
}

void StopState::add_scope(ScopeState& scope) noexcept {
    const std::lock_guard lock(lock_);
    scope.next_of_owner_ = scopes_;
    scope.previous_of_owner_ = nullptr;
    if (scopes_ != nullptr) {
        scopes_->previous_of_owner_ = &scope;
    }
    scopes_ = &scope;
    if (is_requested()) {
        scope.stopped_ = true;  // it has no fibers yet
    }
}

void StopState::remove_scope(ScopeState& scope) noexcept {
    const std::lock_guard lock(lock_);
    ScopeState* const previous = scope.previous_of_owner_;
    (previous != nullptr ? previous->next_of_owner_ : scopes_) = scope.next_of_owner_;
    if (scope.next_of_owner_ != nullptr) {
        scope.next_of_owner_->previous_of_owner_ = previous;
    }
}

Waiter* StopState::take_effect(FiberControl*& next, StopTrigger*& triggers) noexcept {
    const std::lock_guard lock(lock_);
    if (trigger_ != nullptr) {
        trigger_->next = triggers;
        triggers = trigger_.release();
    }
    for (ScopeState* scope = scopes_; scope != nullptr; scope = scope->next_of_owner_) {
        scope->claim_fibers(next);
    }
    // The fiber cannot leave end_wait() before lock_ is free, so slot and waiter are there.
    if (const auto address = word_.load(std::memory_order_seq_cst) & ~kRequested; address != 0) {
        auto& slot = *reinterpret_cast<std::atomic<std::uintptr_t>*>(address);
        auto held = reinterpret_cast<std::uintptr_t>(waiter_);
        // pairs with the compare-exchange in park(): if the waiter is not in there yet, the fiber will
        // look for a request when it is
        if (slot.compare_exchange_strong(held, kSlotEmpty, std::memory_order_seq_cst)) {
            return waiter_;
        }
    }
    return nullptr;
}

void StopState::await_unpinned() const noexcept {
    while (pins_.load(std::memory_order_acquire) != 0) {  // pairs with unpin()
        std::this_thread::yield();
    }
}

void request_stop_of_all(FiberControl* claimed) noexcept {
    // One after the other, not one inside the other: scopes may be nested as deep as memory allows.
    StopTrigger* triggers = nullptr;
    while (claimed != nullptr) {
        StopState& stop = claimed->stop;
        claimed = stop.next_to_stop;
        if (Waiter* const waiter = stop.take_effect(claimed, triggers)) {
            wake(*waiter, WakeReason::canceled);
        }
        stop.unpin();
    }
    // The callbacks are the user's: nobody waits for them but who asks, and no fiber that could end.
    while (triggers != nullptr) {
        const std::unique_ptr<StopTrigger> first(std::exchange(triggers, triggers->next));
        (void)first->source.request_stop();
    }
}

}  // namespace coir::detail
