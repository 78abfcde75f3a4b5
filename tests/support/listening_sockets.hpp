#pragma once

#include <sys/types.h>

#include <cstddef>

namespace coir::test {

/// How many TCP sockets of the process listen; 0 if it has ended. A refused connection would say the
/// same of a port, but for the moment in which somebody else gets that port.
[[nodiscard]] std::size_t listening_sockets(pid_t pid);

}  // namespace coir::test
