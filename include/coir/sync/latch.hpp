#pragma once

#include <cstddef>

#include "coir/sync/countdown.hpp"

namespace coir {

/// Opens, for good, when it has been counted down (std::latch).
///
/// It may be destroyed as soon as somebody has seen it open, also while the last count_down() has not
/// returned, if nobody else waits or will.
/// Threads: fibers of any runtime, and plain threads.
/// Cost:    a count is one locked instruction while nobody waits; no allocation.
class Latch final {
public:
    explicit Latch(std::size_t expected) noexcept : left_(expected) {}
    Latch(const Latch&) = delete;
    Latch& operator=(const Latch&) = delete;

    /// Requires: `count` is not more than is left, in all builds.
    void count_down(std::size_t count = 1) noexcept { left_.subtract(count); }
    /// Whether it is open. Unlike std's never false then.
    [[nodiscard]] bool try_wait() const noexcept { return left_.is_zero(); }

    /// Suspends: until it opens. A plain thread blocks. Requests to stop are ignored.
    void wait() noexcept { (void)left_.wait(kWhat, Deadline::never(), StopRequests::ignored); }
    /// Suspends: until it opens, or `deadline`. Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait_until(Deadline deadline) noexcept {
        return left_.wait(kWhat, deadline, StopRequests::obeyed);
    }
    /// count_down() and wait().
    void arrive_and_wait(std::size_t count = 1) noexcept {
        count_down(count);
        wait();
    }

private:
    static constexpr const char* kWhat = "a latch";

    detail::Countdown left_;
};

}  // namespace coir
