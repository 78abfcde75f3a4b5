#pragma once

#include <cstddef>
#include <span>
#include <system_error>
#include <vector>

#include "coir/net/address.hpp"

namespace coir::net {

/// `addresses` with their families taking turns, beginning with that of the first one (RFC 8305, 4);
/// `most` of them at most.
[[nodiscard]] std::vector<SocketAddress> in_turns(std::span<const SocketAddress> addresses,
                                                  std::size_t most);

/// Which of two failed attempts tells more of why nobody could be reached; `later`, if both do the same.
[[nodiscard]] std::error_code more_telling(std::error_code earlier, std::error_code later) noexcept;

}  // namespace coir::net
