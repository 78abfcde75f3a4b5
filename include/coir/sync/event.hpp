#pragma once

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/sync/wait_list.hpp"
#include "coir/sync/waited_word.hpp"

namespace coir {

namespace detail {
class EventArmBase;
}  // namespace detail

/// Something that happens once, for all who wait for it; reset() makes it wait for the next time.
///
/// It may be destroyed as soon as somebody has seen that it is set, also while set() has not returned, if
/// nobody else waits or will.
/// Threads: fibers of any runtime, and plain threads.
/// Cost:    to look is one load, to set without waiters one locked instruction; no allocation.
class Event final {
public:
    Event() noexcept = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    /// Lets everybody go on who waits, and who will. Does nothing if it is set.
    void set() noexcept;
    /// Who waits from now on waits for the next set(). Who has been let go stays so, though it may not
    /// have run yet.
    void reset() noexcept;
    [[nodiscard]] bool is_set() const noexcept { return word_.value() != 0; }

    /// Suspends: until it is set. A plain thread blocks. Requests to stop are ignored.
    void wait() noexcept { (void)wait(Deadline::never(), StopRequests::ignored); }
    /// Suspends: until it is set, or `deadline`. Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait_until(Deadline deadline) noexcept {
        return wait(deadline, StopRequests::obeyed);
    }

private:
    friend class detail::EventArmBase;

    [[nodiscard]] Result<void> wait(Deadline deadline, StopRequests stops) noexcept;
    /// False if it is set.
    [[nodiscard]] bool enlist(detail::WaitNode& node) noexcept;
    bool withdraw(detail::WaitNode& node) noexcept;

    detail::WaitedWord word_{0};  // 1: it is set
    detail::WaitList waiters_;    // under word_; empty while it is set
};

}  // namespace coir
