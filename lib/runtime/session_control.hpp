#pragma once

#include <atomic>
#include <boost/fiber/context.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>

#include "coir/runtime/session.hpp"
#include "runtime/waiter.hpp"

namespace coir::detail {

class LocalValues;
struct ContextNode;

/// What the runtime keeps of a session, in front of the user's object and in the same allocation. While the
/// session waits it is its waiter.
///
/// Threads: who has taken the waiter out of its slot, and then whoever runs the turn, owns all of it but
/// for what is atomic.
class alignas(64) SessionControl final : public ForeignWaiter {
public:
    SessionControl(Worker& its_home, const SessionType& its_type,
                   const SessionOptions& its_options) noexcept
        : ForeignWaiter(make_ready),
          home(&its_home),
          type(&its_type),
          has_odd_stack(its_options.stack_bytes != 0),
          options(its_options) {}
    SessionControl(const SessionControl&) = delete;
    SessionControl& operator=(const SessionControl&) = delete;

    [[nodiscard]] void* storage() noexcept { return this + 1; }

    /// Returns when the thread that has put the waiter into its slot is done with what belongs to the
    /// session.
    void await_parked() const noexcept {
        while (parking.load(
            std::memory_order_acquire)) {  // a few instructions, unless it is preempted
            std::this_thread::yield();
        }
    }

    /// Waits for what `turn` says, or says how that has ended at once. It may be anywhere when it waits.
    [[nodiscard]] std::optional<Result<void>> begin_wait(const NextTurn& turn) noexcept {
        return turn.source()->begin_wait(*this, turn);
    }
    /// Has the cache fetch what a turn touches of this and of the user's object, the first line of each. It may have
    /// ended, and its memory may be away.
    void prefetch() const noexcept {
        __builtin_prefetch(this, 1);
        __builtin_prefetch(this + 1, 1);
    }
    /// The same of the state that holds its slot. Requires: it has not ended.
    void prefetch_state() const noexcept {
        if (const auto* const its_slot = slot.load(std::memory_order_relaxed)) {
            __builtin_prefetch(its_slot, 1);
            __builtin_prefetch(reinterpret_cast<const std::byte*>(its_slot) + 64, 1);
        }
    }
    /// It is about to wait in `slot`, for what `descriptor` has to say.
    void note_wait(std::atomic<std::uintptr_t>& its_slot, int descriptor) noexcept {
        // Nearly always the same as before: then nothing is written.
        if (slot.load(std::memory_order_relaxed) != &its_slot) {
            slot.store(&its_slot, std::memory_order_seq_cst);
        }
        if (fd.load(std::memory_order_relaxed) != descriptor) {
            fd.store(descriptor, std::memory_order_relaxed);
        }
    }
    /// Asks it to stop. True if it waited: it is out of its slot then, and the caller's to wake. Threads: as waits().
    [[nodiscard]] bool claim_for_stop() noexcept;
    /// Threads: any that keeps it from ending.
    [[nodiscard]] bool waits() const noexcept {
        const auto* const its_slot = slot.load(std::memory_order_acquire);
        return its_slot != nullptr &&
               its_slot->load(std::memory_order_relaxed) ==
                   reinterpret_cast<std::uintptr_t>(static_cast<const Waiter*>(this));
    }

    // The first line is all that a turn touches, and it is full.
    Worker* const home;  // that has it in its list
    const SessionType* const type;
    const ContextNode* context = nullptr;  // a share of it, between turns
    /// The slot in which it came to wait last; null: none yet. If the session has gone from there, it is not
    /// in there: slots are those of IoStates, whose memory is never anything else.
    std::atomic<std::atomic<std::uintptr_t>*> slot{nullptr};
    std::atomic<bool> parking{false};
    std::atomic<bool> stop_requested{false};
    bool has_locals = false;
    const bool has_odd_stack;  // asks for another than the runtime's usual
    std::atomic<int> fd{-1};

    LocalValues* locals = nullptr;  // if has_locals
    SessionControl* next =
        nullptr;  // of a list that has its ready sessions, or whom to tell of a stop
    std::uint64_t id = 0;
    const SessionOptions options;
    // In the list of its home; under that list's lock.
    SessionControl* next_in_list = nullptr;
    SessionControl* previous_in_list = nullptr;

private:
    friend bool is_session(const Waiter& waiter) noexcept;
    static void make_ready(ForeignWaiter& waiter, Worker* here) noexcept;
};

static_assert(sizeof(void*) != 8 || sizeof(SessionControl) == 2 * alignof(SessionControl));

[[nodiscard]] inline bool is_session(const Waiter& waiter) noexcept {
    return waiter.fiber == nullptr &&
           static_cast<const ForeignWaiter&>(waiter).wake == SessionControl::make_ready;
}

/// What lies in a run queue: a fiber, or a session that needs one. There is no such object: which it is,
/// and where, lies in the address.
class Runnable;

inline constexpr std::uintptr_t kIsSession = 1;

[[nodiscard]] inline Runnable* as_runnable(boost::fibers::context& fiber) noexcept {
    return reinterpret_cast<Runnable*>(&fiber);
}
[[nodiscard]] inline Runnable* as_runnable(SessionControl& session) noexcept {
    return reinterpret_cast<Runnable*>(reinterpret_cast<std::uintptr_t>(&session) | kIsSession);
}
[[nodiscard]] inline bool is_session(const Runnable* runnable) noexcept {
    return (reinterpret_cast<std::uintptr_t>(runnable) & kIsSession) != 0;
}
[[nodiscard]] inline boost::fibers::context& context_of(Runnable* runnable) noexcept {
    return *reinterpret_cast<boost::fibers::context*>(runnable);
}
[[nodiscard]] inline SessionControl& session_of(Runnable* runnable) noexcept {
    return *reinterpret_cast<SessionControl*>(reinterpret_cast<std::uintptr_t>(runnable) &
                                              ~kIsSession);
}

}  // namespace coir::detail
