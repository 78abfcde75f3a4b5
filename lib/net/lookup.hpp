#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/address.hpp"
#include "coir/net/resolver.hpp"

namespace coir::net {

using Addresses = std::vector<SocketAddress>;

struct LookupRequest {
    std::string host = {};
    std::string service = {};  // empty: the port is known
    std::uint16_t port = 0;
    bool host_is_literal = false;
    ResolveOptions options = {};
};

/// Looks a name up, and may block as long as it likes. Tests put another one in getaddrinfo()'s place.
using Lookup = std::function<Result<Addresses>(const LookupRequest&)>;

/// By getaddrinfo(). Blocks.
[[nodiscard]] Result<Addresses> look_up(const LookupRequest& request);

/// Runs `lookup` on the blocking pool; the fiber leaves it behind at `deadline`, or when it is to stop.
[[nodiscard]] Result<Addresses> resolve_by(Lookup lookup, LookupRequest request, Deadline deadline);

/// What an error of getaddrinfo() is called here. `system` is what it means by EAI_SYSTEM.
[[nodiscard]] std::error_code error_of(int eai_code, std::error_code system) noexcept;

}  // namespace coir::net
