#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string_view>
#include <system_error>

#include "coir/base/deadline.hpp"

/// What a fiber can do to itself, and know of itself. Outside a fiber these act on the calling thread.
namespace coir::this_fiber {

/// Lets every other ready fiber of this worker run first. Returns at once if there is none.
///
/// I/O and timers that are due get their turn too: of a fiber that yields in a loop, after as many
/// turns as there were ready fibers when the worker last looked (61 at least, 1,024 at most), or after 1 to 10 ms.
/// Suspends: until it is this fiber's turn again. A request to stop changes nothing.
void yield() noexcept;

/// Suspends: until `deadline` has passed; for good, if that is never.
/// Returns:  no error; operation_canceled if the fiber is asked to stop, timed_out if its task-wide
///           deadline passes first. To be looked at, or not.
std::error_code sleep_until(Deadline deadline) noexcept;
template <typename Rep, typename Period>
std::error_code sleep_for(std::chrono::duration<Rep, Period> duration) noexcept {
    return sleep_until(Deadline::after(duration));
}

/// Unique among the fibers of its runtime that are alive; 0 outside a fiber.
[[nodiscard]] std::uint64_t id() noexcept;
/// The first 23 bytes of SpawnOptions::name. Valid while the fiber lives. Empty outside a fiber.
[[nodiscard]] std::string_view name() noexcept;

/// Whether the fiber has been asked to stop, by its handle, its scope or its runtime. From then on every
/// call that may suspend fails with operation_canceled; docs/suspension.md tells the exceptions. False outside a
/// fiber.
[[nodiscard]] bool stop_requested() noexcept;
/// The same as a token, for std::stop_callback and for other libraries. A callback runs on the thread of
/// whoever asks, and does not suspend. Outside a fiber a token without a state.
/// Cost: the first call of a fiber allocates.
[[nodiscard]] std::stop_token stop_token();

/// When every wait of this fiber gives up with timed_out, whatever deadline of its own it has; never,
/// unless a DeadlineScope, or a TimeLimit, says otherwise here or where the fiber was spawned.
/// Behind a Shield only those within it count.
[[nodiscard]] Deadline deadline() noexcept;

/// While it lives, the fiber's task-wide deadline is the earlier of the one before and `deadline`. Fibers
/// spawned meanwhile inherit it, except by spawn_detached().
///
/// Requires: destroyed by the fiber or thread that made it, in reverse order.
class [[nodiscard]] DeadlineScope final {
public:
    explicit DeadlineScope(Deadline deadline) noexcept;
    ~DeadlineScope();
    DeadlineScope(const DeadlineScope&) = delete;
    DeadlineScope& operator=(const DeadlineScope&) = delete;

private:
    Deadline before_;
};

/// While it lives, requests to stop and the task-wide deadline around it do not end this fiber's waits: for
/// clean-up that must talk to somebody. A DeadlineScope within it limits that. What is spawned meanwhile is
/// shielded as well, in that neither reaches it through this fiber; but a Scope that was made before
/// passes its own requests on to it.
///
/// Requires: destroyed by the fiber or thread that made it, in reverse order, DeadlineScopes included.
class [[nodiscard]] Shield final {
public:
    Shield() noexcept;
    ~Shield();
    Shield(const Shield&) = delete;
    Shield& operator=(const Shield&) = delete;

private:
    Deadline before_;
};

}  // namespace coir::this_fiber

namespace coir::this_worker {

/// The number of the worker that runs the caller, counted from 0; -1 outside a runtime. After a call
/// that may suspend it can be another one.
[[nodiscard]] int index() noexcept;
/// How many workers the caller's runtime has; 0 outside a runtime.
[[nodiscard]] int count() noexcept;

}  // namespace coir::this_worker
