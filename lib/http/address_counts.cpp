#include "address_counts.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <random>

#include "coir/base/assert.hpp"

namespace coir::http {
namespace {

std::uint64_t seed() {
    std::random_device source;
    return std::uint64_t{source()} << 32 | source();
}

// ::ffff:a.b.c.d, as a listener for both families calls a.b.c.d.
constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

AddressCounts::AddressCounts() : hash_{seed()} {
    for (Shard& shard : shards_) {
        shard.counts = decltype(shard.counts)(0, hash_);
    }
}

// The two kinds do not meet: an IPv6 prefix that begins with 32 zeros is nobody's, but of ::1, which
// is like 0.0.0.0 here.
AddressCounts::Client AddressCounts::client_of(const net::SocketAddress& address) noexcept {
    std::uint32_t ipv4 = 0;
    if (address.family() == AF_INET) {
        sockaddr_in native;
        std::memcpy(&native, address.native(), sizeof native);
        ipv4 = native.sin_addr.s_addr;
    } else if (address.family() == AF_INET6) {
        sockaddr_in6 native;
        std::memcpy(&native, address.native(), sizeof native);
        const unsigned char* const bytes = native.sin6_addr.s6_addr;
        if (!std::equal(kMapped.begin(), kMapped.end(), bytes)) {
            Client network;
            std::memcpy(&network, bytes, sizeof network);
            return network;
        }
        std::memcpy(&ipv4, bytes + kMapped.size(), sizeof ipv4);
    }
    Client client = 0;
    // As the end of a network that begins with zeros, whatever the byte order.
    std::memcpy(reinterpret_cast<unsigned char*>(&client) + 4, &ipv4, sizeof ipv4);
    return client;
}

bool AddressCounts::try_add(Client client, std::size_t limit) noexcept {
    Shard& shard = shard_of(client);
    const std::lock_guard lock(shard.mutex);
    try {
        const auto [entry, is_new] = shard.counts.try_emplace(client, 0);
        if (entry->second >= limit) {
            if (is_new) {
                shard.counts.erase(entry);
            }
            return false;
        }
        ++entry->second;
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void AddressCounts::remove(Client client) noexcept {
    Shard& shard = shard_of(client);
    const std::lock_guard lock(shard.mutex);
    const auto entry = shard.counts.find(client);
    COIR_CHECK(entry != shard.counts.end());
    if (--entry->second == 0) {
        shard.counts.erase(entry);
    }
}

std::size_t AddressCounts::Hash::operator()(Client client) const noexcept {
    // The finaliser of SplitMix64.
    std::uint64_t mixed = client ^ seed;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return static_cast<std::size_t>(mixed ^ mixed >> 31);
}

AddressCounts::Shard& AddressCounts::shard_of(Client client) noexcept {
    // The table takes the hash modulo a prime, so the same bits can serve twice.
    return shards_[hash_(client) % kShards];
}

}  // namespace coir::http
