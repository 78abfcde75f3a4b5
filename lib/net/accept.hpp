#pragma once

#include <sys/socket.h>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir::net::detail {

/// The next connection of a listening socket; those that died in the queue are skipped.
/// Suspends: until there is one. Errors: as TcpListener::accept().
[[nodiscard]] Result<UniqueFd> accept(IoSource& source, sockaddr_storage& peer, socklen_t& length,
                                      Deadline deadline) noexcept;
/// One that is waiting already; resource_unavailable_try_again if there is none.
[[nodiscard]] Result<UniqueFd> try_accept(const IoSource& source, sockaddr_storage& peer,
                                          socklen_t& length) noexcept;

}  // namespace coir::net::detail
