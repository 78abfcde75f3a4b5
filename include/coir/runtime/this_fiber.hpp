#pragma once

#include <chrono>
#include <cstdint>

#include "coir/base/deadline.hpp"

/// What a fiber can do to itself. Outside a fiber these act on the calling thread.
namespace coir::this_fiber {

/// Lets every other ready fiber of this worker run first. Returns at once if there is none.
///
/// I/O and timers that are due get their turn too: of a fiber that yields in a loop, after 61 turns or
/// 1 to 10 ms at most.
/// Suspends: until it is this fiber's turn again.
void yield() noexcept;

/// Suspends: until `deadline` has passed; for good, if that is never.
void sleep_until(Deadline deadline) noexcept;
template <typename Rep, typename Period>
void sleep_for(std::chrono::duration<Rep, Period> duration) noexcept {
    sleep_until(Deadline::after(duration));
}

/// Unique among the fibers that are alive; 0 outside a fiber.
[[nodiscard]] std::uint64_t id() noexcept;

}  // namespace coir::this_fiber

namespace coir::this_worker {

/// The number of the worker that runs the caller, counted from 0; -1 outside a runtime. After a call
/// that may suspend it can be another one.
[[nodiscard]] int index() noexcept;
/// How many workers the caller's runtime has; 0 outside a runtime.
[[nodiscard]] int count() noexcept;

}  // namespace coir::this_worker
