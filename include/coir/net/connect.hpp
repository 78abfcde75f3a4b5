#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/address.hpp"
#include "coir/net/resolver.hpp"
#include "coir/net/tcp_stream.hpp"

namespace coir::net {

struct HappyEyeballsOptions {
    /// How long an attempt is given before the next one begins beside it. RFC 8305 recommends 250 ms,
    /// and forbids less than 10 ms, which is what smaller values mean here.
    std::chrono::milliseconds attempt_delay{250};
    /// Addresses that are tried at most.
    std::size_t max_addresses = 8;
    ResolveOptions resolve = {};
};

/// Connects to the first of the host's addresses that answers (RFC 8305, "happy eyeballs").
///
/// The problem: a host has addresses of two families, and one of them may lead nowhere, which takes
/// minutes to find out. So the families take turns, an attempt that hangs or fails lets the next one begin,
/// and when one succeeds the others are cancelled and closed.
/// Suspends: until connected, or `deadline`, the lookup of the name included. On a plain thread the addresses
///           are tried one after the other, each with its share of the time that is left.
/// Errors:   as resolve(); timed_out, operation_canceled; if all attempts have failed, the error that tells
///           most: that of a host that answered (connection_refused), before timed_out, before the
///           others (network_unreachable, ...); the last of these.
/// Cost:     a fiber per attempt, none if there is one address.
[[nodiscard]] Result<TcpStream> connect(std::string_view host, std::uint16_t port,
                                        Deadline deadline,
                                        const HappyEyeballsOptions& options = {});
/// The same for addresses that are known, in the order of preference.
/// Errors: also destination_address_required if there is none.
[[nodiscard]] Result<TcpStream> connect(std::span<const SocketAddress> addresses, Deadline deadline,
                                        const HappyEyeballsOptions& options = {});

}  // namespace coir::net
