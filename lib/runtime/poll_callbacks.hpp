#pragma once

#include <atomic>
#include <cstddef>

namespace coir::detail {

/// How many callbacks of the user's the polls of runtimes with one worker may have to run: those who are told
/// of a hang-up, and alarms. They are made on that worker's fibers. While there are any, only the dispatcher
/// polls there: a callback would else take the fiber that waits, its stack, deadline and locks for its own.
///
/// Runtimes with several workers do not wait in place, and leave this word alone: all would write to it.
inline constinit std::atomic<std::ptrdiff_t> poll_callbacks{0};

}  // namespace coir::detail
