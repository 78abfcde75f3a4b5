#pragma once

#include <atomic>
#include <cstddef>

namespace coir::detail {

/// How many callbacks of the user's a poll may have to run: those who are told of a hang-up, and alarms. They
/// are made and let go on fibers, and rare. While there are any, only the dispatcher polls: a callback would
/// else take the fiber that waits, its stack, deadline and locks for its own.
inline constinit std::atomic<std::ptrdiff_t> poll_callbacks{0};

}  // namespace coir::detail
