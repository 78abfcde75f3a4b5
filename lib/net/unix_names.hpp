#pragma once

#include "coir/base/result.hpp"
#include "coir/net/unix_address.hpp"

namespace coir::net::detail {

[[nodiscard]] Result<UnixAddress> local_unix_address(int fd) noexcept;
[[nodiscard]] Result<UnixAddress> peer_unix_address(int fd) noexcept;

}  // namespace coir::net::detail
