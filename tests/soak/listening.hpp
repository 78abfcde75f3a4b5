#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "coir/net/address.hpp"

// What the server and its clients know of each other.
namespace coir::soak {

// Short, so that slow clients meet them often; but a good client on a machine that has no time for
// it may not.
inline constexpr std::chrono::milliseconds kHeaderTimeout{8000};
inline constexpr std::chrono::milliseconds kBodyTimeout{8000};
inline constexpr std::chrono::milliseconds kWriteTimeout{8000};
inline constexpr std::chrono::milliseconds kIdleTimeout{10'000};
inline constexpr std::chrono::milliseconds kLingerTimeout{1000};
inline constexpr std::uint64_t kMaxRequests = 1000;  // on a connection

/// A client that closes first leaves its port unusable for a minute, and to each address it has
/// 28,000.
inline constexpr std::size_t kAddresses = 16;

[[nodiscard]] inline net::SocketAddress listening_address(std::size_t index, std::uint16_t port) {
    return net::SocketAddress::parse("127.0.0." + std::to_string(1 + index % kAddresses), port)
        .value();
}

}  // namespace coir::soak
