#include "net/attempt_order.hpp"

#include <algorithm>

namespace coir::net {
namespace {

int rank_of(std::error_code error) noexcept {
    if (error == std::errc::connection_refused || error == std::errc::connection_reset) {
        return 3;  // somebody is there
    }
    if (error == std::errc::timed_out) {
        return 2;
    }
    return error && error != std::errc::operation_canceled ? 1 : 0;
}

}  // namespace

std::vector<SocketAddress> in_turns(std::span<const SocketAddress> addresses, std::size_t most) {
    std::vector<SocketAddress> ordered;
    ordered.reserve(std::min(addresses.size(), most));
    std::size_t next[2] = {0, 0};  // of each family, where to look for its next address
    bool ipv6 = !addresses.empty() && addresses.front().is_ipv6();
    while (ordered.size() < std::min(addresses.size(), most)) {
        std::size_t& at = next[ipv6 ? 1 : 0];
        while (at != addresses.size() && addresses[at].is_ipv6() != ipv6) {
            ++at;
        }
        if (at != addresses.size()) {
            ordered.push_back(addresses[at++]);
        }
        ipv6 = !ipv6;
    }
    return ordered;
}

std::error_code more_telling(std::error_code earlier, std::error_code later) noexcept {
    return rank_of(later) >= rank_of(earlier) ? later : earlier;
}

}  // namespace coir::net
