#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace coir::test {

/// How many bytes have arrived at a connection's socket on 127.0.0.1 and were not read yet, asked of
/// the kernel by sock_diag(7): so a test can cut a message and know that the reader saw the cut.
/// None if there is no such connection, or the kernel does not tell.
[[nodiscard]] std::optional<std::size_t> unread_bytes(std::uint16_t port, std::uint16_t peer_port);

}  // namespace coir::test
