#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/stop_requests.hpp"

namespace coir::detail {

class FiberControl;
class Worker;

enum class WakeReason : std::uint8_t { ready, timed_out, canceled };

/// What a wait says that ends for this reason.
[[nodiscard]] inline Result<void> result_of(WakeReason reason) noexcept {
    switch (reason) {
        case WakeReason::ready: return {};
        case WakeReason::timed_out: return std::errc::timed_out;
        case WakeReason::canceled: break;
    }
    return std::errc::operation_canceled;
}

/// One wait of one fiber or plain thread, in its frame; or of a session, which is its own waiter.
///
/// It is reachable from one slot. Whoever takes it out of the slot by compare-and-swap owns the
/// wake: nobody else may touch it any more, and it stays alive until that owner has called wake().
/// That makes races of readiness, timeout and close harmless.
struct Waiter {
    FiberControl* fiber = nullptr;  // null: this is a ForeignWaiter
    WakeReason reason = WakeReason::ready;
};

/// The wait of somebody who is not woken by running a fiber.
struct ForeignWaiter : Waiter {
    /// `here`: the worker of the calling thread, or null.
    using Wake = void (*)(ForeignWaiter& waiter, Worker* here) noexcept;

    explicit ForeignWaiter(Wake how) noexcept : wake(how) {}
    const Wake wake;
};

/// A plain thread's wait.
class ThreadWaiter final : public ForeignWaiter {
public:
    ThreadWaiter() noexcept : ForeignWaiter(wake_thread) {}
    /// False if `deadline` has passed first.
    [[nodiscard]] bool wait(Deadline deadline) noexcept;

private:
    static void wake_thread(ForeignWaiter& waiter, Worker* here) noexcept;

    std::mutex mutex_;
    std::condition_variable changed_;
    bool woken_ = false;
};

/// What a slot can hold besides a Waiter's address.
inline constexpr std::uintptr_t kSlotEmpty = 0;
inline constexpr std::uintptr_t kSlotReady = 1;   // the event came first
inline constexpr std::uintptr_t kSlotClosed = 2;  // for good

[[nodiscard]] inline bool holds_waiter(std::uintptr_t value) noexcept {
    return value > kSlotClosed;
}

/// How a fiber waits.
struct Wait {
    const char* what;  // a literal, for reports
    StopRequests stops = StopRequests::obeyed;
    int fd = -1;
};

/// Suspends the calling fiber until somebody wakes it, or returns what the slot held already (and
/// then leaves an empty slot in place of a ready one), or that it is asked to stop (and then leaves the
/// slot as it is). `before_leaving` is called when the waiter is in the slot, but before anybody can
/// run the fiber.
///
/// Requires: called on a fiber of `worker`, and nobody else waits on the slot.
template <typename BeforeLeaving>
[[nodiscard]] WakeReason park(Worker& worker, std::atomic<std::uintptr_t>& slot, const Wait& wait,
                              BeforeLeaving before_leaving) noexcept;

/// The same for a plain thread, which blocks.
[[nodiscard]] WakeReason park_thread(std::atomic<std::uintptr_t>& slot, Deadline deadline) noexcept;

/// Makes the fiber or the session ready: on this worker; on its own if it is pinned; on whichever looks first if the
/// caller is no worker of its runtime. Or lets the thread go on. Requires: the caller has taken the waiter out of its slot.
void wake(Waiter& waiter, WakeReason reason) noexcept;
/// The same for who knows the thread's worker, or that it has none.
void wake(Waiter& waiter, WakeReason reason, Worker* here) noexcept;

/// Takes the waiter out of a slot and leaves `replacement`; null if none was there, and then a
/// slot that is not closed holds `otherwise`.
[[nodiscard]] Waiter* claim(std::atomic<std::uintptr_t>& slot, std::uintptr_t replacement,
                            std::uintptr_t otherwise) noexcept;

/// Takes the event that came first: closed stays closed, ready is used up.
[[nodiscard]] WakeReason consume(std::atomic<std::uintptr_t>& slot) noexcept;

}  // namespace coir::detail
