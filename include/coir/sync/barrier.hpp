#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/sync/wait_list.hpp"
#include "coir/sync/waited_word.hpp"

namespace coir {

namespace detail {

/// The part of a Barrier that does not depend on its completion function.
class BarrierState final {
public:
    explicit BarrierState(std::size_t expected) noexcept : expected_(expected), left_(expected) {}

    /// The number of the phase that is running.
    [[nodiscard]] std::uint64_t phase() const noexcept { return phase_.value(); }
    /// True if these were the last: the caller then ends the phase.
    [[nodiscard]] bool arrive(std::size_t count, bool and_drop) noexcept;
    void end_phase() noexcept;
    [[nodiscard]] Result<void> wait(std::uint64_t phase, Deadline deadline,
                                    StopRequests stops) noexcept;

private:
    WaitedWord phase_{0};
    // Under phase_.
    WaitList waiters_;
    std::size_t expected_;
    std::size_t left_;  // arrivals until the phase ends
};

struct NoCompletion {
    void operator()() const noexcept {}
};

}  // namespace detail

/// A place where a number of fibers and threads wait for each other, again and again (std::barrier).
///
/// The last to arrive calls the completion function, before anybody goes on; it may suspend.
/// It may be destroyed as soon as all who wait for the last phase have returned, or there is but one.
/// Threads: fibers of any runtime, and plain threads.
/// Cost:    an arrival takes a short lock; no system call unless somebody sleeps, no allocation.
template <typename Completion = detail::NoCompletion>
class Barrier final {
    static_assert(std::is_nothrow_invocable_v<Completion&>,
                  "the completion function is called where nobody could catch its exception");

public:
    /// Says for which phase somebody has arrived.
    class [[nodiscard]] ArrivalToken final {
    public:
        ArrivalToken(ArrivalToken&&) noexcept = default;
        ArrivalToken& operator=(ArrivalToken&&) noexcept = default;

    private:
        friend class Barrier;
        explicit ArrivalToken(std::uint64_t phase) noexcept : phase_(phase) {}
        std::uint64_t phase_;
    };

    explicit Barrier(std::size_t expected, Completion completion = Completion())
        : state_(expected), completion_(std::move(completion)) {}
    Barrier(const Barrier&) = delete;
    Barrier& operator=(const Barrier&) = delete;

    /// Suspends: not, but the completion function may.
    /// Requires: at least `count` are still expected in this phase, in all builds.
    ArrivalToken arrive(std::size_t count = 1) noexcept {
        ArrivalToken token(state_.phase());
        arrive(count, false);
        return token;
    }
    /// Suspends: until the phase of the token has ended. A plain thread blocks. Requests to stop are ignored.
    void wait(ArrivalToken&& token) noexcept {
        (void)state_.wait(token.phase_, Deadline::never(), StopRequests::ignored);
    }
    /// Suspends: until the phase of the token has ended, or `deadline`.
    /// Errors:   timed_out, operation_canceled. The arrival counts nevertheless, and the token can be used
    ///           again.
    [[nodiscard]] Result<void> wait_until(const ArrivalToken& token, Deadline deadline) noexcept {
        return state_.wait(token.phase_, deadline, StopRequests::obeyed);
    }
    void arrive_and_wait() noexcept { wait(arrive()); }
    /// arrive() and wait_until(). Errors: as that.
    [[nodiscard]] Result<void> arrive_and_wait_until(Deadline deadline) noexcept {
        return wait_until(arrive(), deadline);
    }
    /// Arrives, and from the next phase on one less is expected.
    void arrive_and_drop() noexcept { arrive(1, true); }

private:
    void arrive(std::size_t count, bool and_drop) noexcept {
        if (state_.arrive(count, and_drop)) {
            completion_();
            state_.end_phase();
        }
    }

    detail::BarrierState state_;
    [[no_unique_address]] Completion completion_;
};

}  // namespace coir
