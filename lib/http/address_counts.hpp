#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "coir/net/address.hpp"

namespace coir::http {

/// How many connections each client has open: nobody may take all of them.
///
/// An IPv6 client has at least a /64 to itself (RFC 6177), so that is what counts as one; of IPv4, and of
/// IPv4 in IPv6, the address.
///
/// Threads: any. Addresses are spread over shards, so that acceptors hardly ever wait for each other.
/// Cost:    a lock and a look into a hash table; memory only for addresses that have connections.
class AddressCounts final {
public:
    using Client = std::uint64_t;

    AddressCounts();

    [[nodiscard]] static Client client_of(const net::SocketAddress& address) noexcept;

    /// False if the client has `limit` already, or if there is no memory to know.
    [[nodiscard]] bool try_add(Client client, std::size_t limit) noexcept;
    /// Requires: a try_add() that has not been taken back.
    void remove(Client client) noexcept;

private:
    static constexpr std::size_t kShards = 64;

    /// Seeded: clients that choose their addresses must not choose their buckets.
    struct Hash {
        std::uint64_t seed;
        std::size_t operator()(Client client) const noexcept;
    };
    struct alignas(64) Shard {
        std::mutex mutex;                                      // never held across a suspension
        std::unordered_map<Client, std::size_t, Hash> counts;  // under mutex; none is 0
    };

    [[nodiscard]] Shard& shard_of(Client client) noexcept;

    Hash hash_;
    std::array<Shard, kShards> shards_;
};

}  // namespace coir::http
