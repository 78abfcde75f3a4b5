#pragma once

#include <system_error>

#include "coir/base/result.hpp"
#include "coir/net/address.hpp"

/// Options that several kinds of sockets have. Pure calls on a descriptor; none suspends.
namespace coir::net::detail {

/// IP_TTL, or for IPv6 the hop limit.
[[nodiscard]] Result<void> set_ttl(int fd, int hops) noexcept;
[[nodiscard]] Result<int> ttl(int fd) noexcept;

/// SO_ERROR, which it resets; or why it could not be asked.
[[nodiscard]] std::error_code take_socket_error(int fd) noexcept;

[[nodiscard]] Result<SocketAddress> local_address(int fd) noexcept;
[[nodiscard]] Result<SocketAddress> peer_address(int fd) noexcept;

}  // namespace coir::net::detail
