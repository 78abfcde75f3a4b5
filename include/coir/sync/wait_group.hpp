#pragma once

#include <cstddef>

#include "coir/sync/countdown.hpp"

namespace coir {

/// Waits until as many things are done as have been added (Go's sync.WaitGroup).
///
/// Can be used again when it is down to nothing. What may be added while it is at nothing must be added
/// before the wait() that is to see it. It may be destroyed as soon as a wait() has returned, also while
/// the last done() has not, if nobody else waits or will.
/// Threads: fibers of any runtime, and plain threads.
/// Cost:    one locked instruction each while nobody waits; no allocation.
class WaitGroup final {
public:
    WaitGroup() noexcept = default;
    WaitGroup(const WaitGroup&) = delete;
    WaitGroup& operator=(const WaitGroup&) = delete;

    void add(std::size_t count = 1) noexcept { left_.add(count); }
    /// Requires: fewer were done than added, in all builds.
    void done() noexcept { left_.subtract(1); }

    /// Suspends: until nothing is left. A plain thread blocks. Requests to stop are ignored.
    void wait() noexcept { (void)left_.wait(kWhat, Deadline::never(), StopRequests::ignored); }
    /// Suspends: until nothing is left, or `deadline`. Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait_until(Deadline deadline) noexcept {
        return left_.wait(kWhat, deadline, StopRequests::obeyed);
    }

private:
    static constexpr const char* kWhat = "a wait group";

    detail::Countdown left_{0};
};

}  // namespace coir
