#pragma once

#include <chrono>
#include <cstdint>

namespace coir::soak {

struct LoadOptions {
    std::uint16_t port = 0;
    std::chrono::seconds duration{600};
    std::uint64_t seed = 0;
    int good = 24;  // clients of each kind
    int bad = 16;
    int slow = 100;
};

/// Lets the clients loose on a server that listens on kAddresses addresses, and says what they did.
/// Returns the exit status: 1 if the server has done anything wrong.
[[nodiscard]] int load(const LoadOptions& options);

}  // namespace coir::soak
