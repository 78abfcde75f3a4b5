#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"

namespace coir {

class NextTurn;

namespace detail {
class IoState;
class IoArmBase;
class SessionControl;
class Worker;
}  // namespace detail

/// A non-blocking descriptor on which fibers can wait: a socket, a pipe, an eventfd, a timerfd, ...
///
/// The problem: epoll reports edges, to whichever worker's epoll the descriptor is registered with,
/// while fibers wait now and then and move between workers. IoSource keeps each edge until somebody
/// asks for it. It is registered when a fiber first waits, with that fiber's worker, and moves when
/// its fiber has settled on another one; there is no epoll_ctl per operation.
///
/// Threads: one reading and one writing fiber at a time, of the same runtime. On a plain thread the
/// waits block in poll(). It may outlive a runtime and be used in the next.
class IoSource final {
public:
    IoSource() noexcept = default;
    /// Requires: `fd` is non-blocking.
    explicit IoSource(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
    IoSource(IoSource&& other) noexcept;
    IoSource& operator=(IoSource&& other) noexcept;
    /// Requires: nobody waits; cancel() ends waits.
    ~IoSource();

    /// Suspends: until bytes, the end of the stream or an error have come to be read; not at all if
    ///           that has been reported since the last call.
    /// Returns:  success may be spurious: the read that follows can still say would-block.
    /// Errors:   timed_out, operation_canceled after cancel() or if the fiber is asked to stop, what
    ///           epoll_ctl says: of a regular file operation_not_permitted, for that is a matter of
    ///           File.
    /// Requires: is_open(), and since the last success a read has said would-block: bytes that were left
    ///           over then are not reported again, and a fiber would wait for others.
    /// Cost:     no system call but the poller's; two epoll_ctl when the descriptor moves.
    [[nodiscard]] Result<void> wait_readable(Deadline deadline) noexcept;
    /// The same for writing.
    [[nodiscard]] Result<void> wait_writable(Deadline deadline) noexcept;

    /// Repeats `call`, which reads from fd() and returns a Result, as long as it says would-block, and waits
    /// in between. It is not called for a fiber that is to stop, and what it has got when cancel() comes
    /// in between is dropped.
    /// Errors: as wait_readable(), what `call` says.
    template <typename Call>
    [[nodiscard]] std::invoke_result_t<Call&> when_readable(Deadline deadline, Call call) {
        return repeat(call, deadline, &IoSource::wait_readable, true);
    }
    /// The same for a `call` that writes. What that has done counts, whatever comes in between.
    template <typename Call>
    [[nodiscard]] std::invoke_result_t<Call&> when_writable(Deadline deadline, Call call) {
        return repeat(call, deadline, &IoSource::wait_writable, false);
    }

    /// Ends the reading fiber's wait, or its next one if it does not wait now, as if something could be
    /// read: to have it look at something else. What has arrived stays, and nothing is used up.
    /// Threads: any, while *this lives. A wait on a plain thread does not notice.
    void wake_reader() noexcept;

    /// Ends the waits of both fibers, and every later one, with operation_canceled. Threads: any,
    /// while *this lives; who learns of it may destroy *this before this returns.
    void cancel() noexcept;
    /// The same, but leaves it to the caller to call request_stop() of what it returns, the listener of
    /// stop_on_hang_up(): its callbacks may need a lock that the caller holds.
    [[nodiscard]] std::stop_source cancel_untold() noexcept;
    /// cancel(), and shuts a socket down in both directions. Both fibers see operation_canceled, not
    /// what the kernel makes of the shutdown, if they ask is_canceled() after a failure.
    void close() noexcept;
    [[nodiscard]] bool is_canceled() const noexcept;
    /// Whether a wait would end with operation_canceled: after cancel(), or because the calling fiber has
    /// been asked to stop. For calls that may have something to do without waiting, again and again.
    [[nodiscard]] bool must_give_up() const noexcept;
    /// Whether the peer of a TCP socket has ever sent urgent data, as far as a wait could learn: a read
    /// stops where that lies, so a short one does not say that there is nothing more.
    [[nodiscard]] bool has_met_urgent_data() const noexcept;

    /// Triggers `listener` when the peer of a socket has gone, as far as the kernel tells: it has finished
    /// sending, or the connection has failed; and at a cancel(). At once, if that has happened. A second
    /// listener takes the place of the first.
    ///
    /// For who serves a peer and waits for something else: a read that waits is told anyway. Nothing is
    /// read, so bytes before the end stay.
    /// Errors:   not_a_fiber, not_enough_memory, what epoll_ctl says. Never suspends.
    /// Requires: callbacks of the listener's tokens do not suspend: they run where it is heard, on any
    ///           worker, or on the thread of a cancel() or close().
    [[nodiscard]] Result<void> stop_on_hang_up(std::stop_source listener) noexcept;
    /// From now on nobody is told; but a callback may still be running.
    void forget_hang_up() noexcept;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(fd_); }

private:
    friend class detail::IoArmBase;
    friend class detail::SessionControl;

    using Slot = std::atomic<std::uintptr_t>;

    template <typename Call>
    [[nodiscard]] std::invoke_result_t<Call&> repeat(
        Call& call, Deadline deadline, Result<void> (IoSource::*await)(Deadline) noexcept,
        bool drops_when_canceled) {
        for (;;) {
            if (must_give_up()) {
                return std::errc::operation_canceled;
            }
            auto done = call();
            if ((!done || drops_when_canceled) && is_canceled()) {
                return std::errc::operation_canceled;  // whatever the kernel made of it
            }
            if (done || done.error() != std::errc::resource_unavailable_try_again) {
                return done;
            }
            if (const auto waited = (this->*await)(deadline); !waited) {
                return waited.error();
            }
        }
    }
    [[nodiscard]] Result<void> wait(int direction, Deadline deadline) noexcept;
    [[nodiscard]] Result<void> wait_on_thread(int direction, Deadline deadline) noexcept;
    // Has the session wait, or says how its wait has ended at once. It may be anywhere when it waits. Requests to stop
    // that its carrier has got are its caller's affair.
    [[nodiscard]] std::optional<Result<void>> begin_wait(detail::SessionControl& session,
                                                         const NextTurn& next) noexcept;
    // Makes sure that the next edge reaches the slot, which it returns; null if the wait is over.
    [[nodiscard]] Result<Slot*> prepare_wait(int direction, Deadline deadline) noexcept;
    // The state, if nothing has to be prepared but the deadline, as in nearly every wait; or null.
    [[nodiscard]] detail::IoState* prepared_state(const detail::Worker& worker,
                                                  int direction) const noexcept;
    // What a wait would return at once.
    [[nodiscard]] std::optional<Result<void>> try_wait(int direction) noexcept;
    // For an edge that has been taken and not been used.
    void restore_readiness(int direction) noexcept;
    [[nodiscard]] detail::IoState* state() noexcept;
    [[nodiscard]] std::stop_source end_waits(bool shut_down) noexcept;

    UniqueFd fd_;
    // Null until somebody waits or cancels; then one of the two that win, for good.
    std::atomic<detail::IoState*> state_{nullptr};
};

}  // namespace coir
