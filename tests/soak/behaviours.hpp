#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coir/net/address.hpp"
#include "question.hpp"

namespace coir::soak {

/// What every client knows.
struct World {
    std::uint16_t port = 0;
    std::vector<std::string> wire_inputs;    // what the wire cases send, good and bad
    std::atomic<bool> is_over{false};        // nobody begins anything
    std::atomic<std::uint64_t> answered{0};  // requests that were answered rightly

    [[nodiscard]] net::SocketAddress any_server(SmallRandom& random) const;
};

/// What one client does on one connection. Throws Wrong.
struct Behaviour {
    std::string_view name;
    void (*run)(World& world, SmallRandom& random);
    int weight;
};

/// Whose every request must be answered, and rightly.
[[nodiscard]] const std::vector<Behaviour>& good_behaviours();
/// Malformed, broken off and forgotten; they end soon.
[[nodiscard]] const std::vector<Behaviour>& bad_behaviours();
/// They end by a deadline of the server's, or get tired before.
[[nodiscard]] const std::vector<Behaviour>& slow_behaviours();

}  // namespace coir::soak
