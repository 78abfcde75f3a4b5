#pragma once

#include <cstddef>

namespace coir::soak {

/// Serves all routes until SIGTERM, with deadlines that are short enough to be met often. Says
/// where it listens, and at the end what it has done.
/// Returns the exit status. Throws std::system_error where it cannot start.
[[nodiscard]] int serve(std::size_t workers);

}  // namespace coir::soak
