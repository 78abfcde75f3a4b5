#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>

#include "coir/base/spin_lock.hpp"

namespace coir::detail {

class FiberControl;
class ScopeState;
struct Waiter;

/// What triggers a fiber's stop_source; outlives the fiber.
struct StopTrigger {
    std::stop_source source;
    StopTrigger* next = nullptr;
};

/// Whether a fiber has been asked to stop, and how to end the wait that it is in.
///
/// The problem: who asks must take the fiber out of the slot in which it waits, while that slot, which
/// lies in somebody's frame or object, may go as soon as the fiber has been woken by somebody else. So
/// the fiber says in one word where it waits and takes that back when it has been woken; if it finds
/// then that it has been asked to stop, it first waits for whoever asks to be done with the slot.
class StopState final {
public:
    [[nodiscard]] bool is_requested() const noexcept {
        return (word_.load(std::memory_order_seq_cst) & kRequested) != 0;
    }

    // The fiber.
    /// Before `waiter` is put into `slot`. False if it has been asked to stop.
    [[nodiscard]] bool begin_wait(std::atomic<std::uintptr_t>& slot, Waiter& waiter) noexcept {
        waiter_ = &waiter;
        std::uintptr_t idle = 0;
        return word_.compare_exchange_strong(idle, reinterpret_cast<std::uintptr_t>(&slot),
                                             std::memory_order_seq_cst);
    }
    /// When the waiter is out of `slot`, for good.
    void end_wait(std::atomic<std::uintptr_t>& slot) noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(&slot);
        if ((word_.fetch_sub(address, std::memory_order_acq_rel) & kRequested) != 0) {
            lock_.lock();  // until take_effect() is done with the slot
            lock_.unlock();
        }
    }
    /// Whether it is to leave the slot, of which this may have been missed: whoever puts its waiter back into
    /// a slot asks afterwards.
    [[nodiscard]] bool must_leave(const std::atomic<std::uintptr_t>& slot) const noexcept {
        return word_.load(std::memory_order_seq_cst) ==
               (reinterpret_cast<std::uintptr_t>(&slot) | kRequested);
    }
    /// A token of a source that request_stop() will trigger.
    [[nodiscard]] std::stop_token token();
    void add_scope(ScopeState& scope) noexcept;
    void remove_scope(ScopeState& scope) noexcept;

    // Whoever asks.
    /// The request itself. True for the first: it then has to pin the fiber and see to the rest by
    /// request_stop_of_all().
    [[nodiscard]] bool claim() noexcept {
        return (word_.fetch_or(kRequested, std::memory_order_seq_cst) & kRequested) == 0;
    }
    /// Returns the waiter that is to be woken, or null. Claims and pins the fibers of its scopes and adds them
    /// to `next`, and to `triggers` what is to be triggered when all have been let go of.
    /// Requires: claim().
    [[nodiscard]] Waiter* take_effect(FiberControl*& next, StopTrigger*& triggers) noexcept;

    /// Keeps the fiber from ending. Requires: something else keeps it until this returns.
    void pin() noexcept { pins_.fetch_add(1, std::memory_order_relaxed); }
    void unpin() noexcept { pins_.fetch_sub(1, std::memory_order_release); }
    /// The end of the fiber. Requires: nobody can pin it any more.
    void await_unpinned() const noexcept;

    /// Of the one who has claimed it.
    FiberControl* next_to_stop = nullptr;

private:
    static constexpr std::uintptr_t kRequested = 1;

    // The address of the slot in which the fiber waits, or 0; plus kRequested, for good.
    std::atomic<std::uintptr_t> word_{0};
    Waiter* waiter_ = nullptr;  // that is in the slot; valid while word_ names one
    std::atomic<std::uint32_t> pins_{0};
    SpinLock lock_;
    // Under lock_: made when somebody wants a token; the trigger is there until somebody asks.
    std::stop_source source_{std::nostopstate};
    std::unique_ptr<StopTrigger> trigger_;
    ScopeState* scopes_ = nullptr;  // that the fiber has open; under lock_
};

/// Ends the waits of a chain of fibers, by StopState::next_to_stop, and asks the fibers of their scopes
/// to stop, and theirs. Callbacks of stop tokens run in this call, last.
/// Requires: all are claimed and pinned; they are unpinned then.
void request_stop_of_all(FiberControl* claimed) noexcept;

}  // namespace coir::detail
