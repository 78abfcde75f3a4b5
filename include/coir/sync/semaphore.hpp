#pragma once

#include <chrono>
#include <cstddef>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/sync/wait_list.hpp"
#include "coir/sync/waited_word.hpp"

namespace coir {

namespace detail {

class AcquireArmBase;

struct PermitWait : WaitNode {
    template <typename... Place>
    explicit PermitWait(std::size_t wanted, Place&... place) noexcept
        : WaitNode(place...), permits(wanted) {}
    const std::size_t permits;
};

}  // namespace detail

/// A number of permits, to be acquired and released (std::counting_semaphore).
///
/// First come, first served: who wants many is not passed by those who want few, and try_acquire() takes
/// nothing while somebody waits. It may be destroyed as soon as nobody waits and no release() is to come,
/// also by who got the permits of a release() that has not returned.
/// Threads: fibers of any runtime, and plain threads; who releases need not have acquired.
/// Cost:    one locked instruction while nobody waits; no system call, no allocation.
class Semaphore final {
public:
    explicit Semaphore(std::size_t permits) noexcept : word_(permits) {}
    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;

    [[nodiscard]] static constexpr std::size_t max() noexcept { return detail::WaitedWord::kMost; }

    /// Suspends: until there are `count` permits. A plain thread blocks. Requests to stop are ignored.
    void acquire(std::size_t count = 1) noexcept {
        (void)acquire(count, Deadline::never(), StopRequests::ignored);
    }
    /// Never suspends.
    [[nodiscard]] bool try_acquire(std::size_t count = 1) noexcept;
    /// Suspends: until there are `count` permits, or `deadline`. Errors: timed_out, operation_canceled;
    /// none has been taken then.
    [[nodiscard]] Result<void> acquire_until(std::size_t count, Deadline deadline) noexcept {
        return acquire(count, deadline, StopRequests::obeyed);
    }
    [[nodiscard]] Result<void> acquire_until(Deadline deadline) noexcept {
        return acquire_until(1, deadline);
    }
    /// The same for one, in the standard library's words: false if it was not acquired.
    [[nodiscard]] bool try_acquire_until(Deadline::Clock::time_point point) noexcept {
        return acquire_until(Deadline::at(point)).has_value();
    }
    template <typename Rep, typename Period>
    [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> duration) noexcept {
        return acquire_until(Deadline::after(duration)).has_value();
    }

    /// Requires: there are at most max() then, in all builds.
    void release(std::size_t count = 1) noexcept;

    /// The permits that nobody has, at some moment of this call.
    [[nodiscard]] std::size_t available() const noexcept { return word_.value(); }

private:
    friend class detail::AcquireArmBase;

    [[nodiscard]] Result<void> acquire(std::size_t count, Deadline deadline,
                                       StopRequests stops) noexcept;
    /// Takes the permits, or else puts the node into the list and returns false.
    [[nodiscard]] bool take_or_enlist(detail::PermitWait& wait) noexcept;
    /// False if there are enough.
    [[nodiscard]] bool enlist(detail::PermitWait& wait) noexcept;
    bool withdraw(detail::PermitWait& wait) noexcept;
    void serve(detail::WaitedWord::State& state, detail::WakeChain& woken) noexcept;

    detail::WaitedWord word_;   // the permits that nobody has
    detail::WaitList waiters_;  // PermitWaits; under word_
};

/// That it never has more than one permit is up to its users.
using BinarySemaphore = Semaphore;

}  // namespace coir
