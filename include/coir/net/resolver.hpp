#pragma once

#include <cstdint>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/address.hpp"

namespace coir::net {

/// Why a name has no address.
enum class ResolveErrc {
    malformed_host = 1,  ///< Empty, longer than 254 bytes, or with a NUL byte.
    host_not_found,      ///< Nobody has that name.
    no_address,          ///< The name is known, but has no address of the wanted family.
    try_again,           ///< No name server has answered; it may later.
    server_failure,      ///< A name server has refused, for good.
    unknown_service,     ///< No port is known for that service.
};

[[nodiscard]] const std::error_category& resolve_category() noexcept;
[[nodiscard]] std::error_code make_error_code(ResolveErrc code) noexcept;

enum class AddressFamily { any, ipv4, ipv6 };

struct ResolveOptions {
    AddressFamily family = AddressFamily::any;
    /// Asks only for families of which this host has an address beside the loopback one (getaddrinfo's
    /// AI_ADDRCONFIG): a host without IPv6 does not wait for AAAA records that it could not use.
    bool only_configured_families = true;
};

/// The addresses of a host, the best one first (RFC 6724), each once; at least one.
///
/// A literal address, "127.0.0.1" or "::1" (brackets are allowed), is its own answer; one with a zone,
/// "fe80::1%eth0", is left to the system. Other ways to write one, such as "127.1" or "0x7f000001", are
/// malformed. Names are looked up by getaddrinfo(), that is, as the system is configured, on the runtime's
/// blocking pool. Nothing is cached here.
/// Suspends: until there is an answer, or `deadline`; not at all for a literal. The look-up then goes on
///           alone, for as long as resolv.conf says (half a minute is usual); Runtime::stop() without limits
///           waits for it. A plain thread blocks, whatever `deadline` says.
/// Errors:   timed_out, operation_canceled, ResolveErrc, what the system says.
/// Cost:     at most half of RuntimeOptions::blocking_threads look up names at a time, stuck ones among
///           them; others wait.
[[nodiscard]] Result<std::vector<SocketAddress>> resolve(std::string_view host, std::uint16_t port,
                                                         Deadline deadline,
                                                         const ResolveOptions& options = {});
/// The same for a TCP service: the decimal number of a port, or a name of /etc/services.
[[nodiscard]] Result<std::vector<SocketAddress>> resolve(std::string_view host,
                                                         std::string_view service,
                                                         Deadline deadline,
                                                         const ResolveOptions& options = {});

}  // namespace coir::net

template <>
struct std::is_error_code_enum<coir::net::ResolveErrc> : std::true_type {};
