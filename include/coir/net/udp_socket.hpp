#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/address.hpp"
#include "coir/net/datagram_socket.hpp"

namespace coir::net {

struct UdpOptions {
    /// SO_REUSEADDR: several sockets may bind one multicast address, and each gets every datagram.
    bool share_address = false;
    /// SO_REUSEPORT: several sockets share the port and the kernel spreads datagrams over them.
    bool share_port = false;
    /// An IPv6 socket takes no IPv4 datagrams.
    bool only_ipv6 = false;
};

/// A datagram that is to be sent, in a batch. The caller owns everything.
struct OutgoingDatagram {
    std::span<const std::byte> bytes;
    /// Null: the peer of connect().
    const SocketAddress* to = nullptr;
};

/// Room for a datagram, in a batch, and what came into it. The caller owns the space.
struct IncomingDatagram {
    std::span<std::byte> space;
    Received received = {};
    SocketAddress from = {};

    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return space.first(received.size); }
};

/// A UDP socket. send(), receive(), peek(), close() and their contract: see DatagramSocket.
class UdpSocket final : public DatagramSocket {
public:
    struct ReceivedFrom : Received {
        SocketAddress from;
    };

    /// A call of receive_batch() returns at most so many datagrams.
    static constexpr std::size_t kMaxBatch = 32;

    UdpSocket() noexcept = default;
    /// Requires: a non-blocking UDP socket.
    explicit UdpSocket(UniqueFd socket) noexcept : DatagramSocket(std::move(socket)) {}

    /// Port 0: the kernel chooses one. Errors: address_in_use, permission_denied,
    /// address_not_available. Never suspends.
    [[nodiscard]] static Result<UdpSocket> bind(const SocketAddress& address,
                                                const UdpOptions& options = {}) noexcept;
    /// From now on send() goes to `peer`, datagrams from others are dropped, and a peer that says that
    /// nobody listens makes the next call fail with connection_refused. Never suspends.
    [[nodiscard]] Result<void> connect(const SocketAddress& peer) noexcept;

    /// As send(), to `to`.
    [[nodiscard]] Result<void> send_to(std::span<const std::byte> datagram, const SocketAddress& to,
                                       Deadline deadline) noexcept;
    /// As receive() and peek(), and who sent it.
    [[nodiscard]] Result<ReceivedFrom> receive_from(std::span<std::byte> into,
                                                    Deadline deadline) noexcept;
    [[nodiscard]] Result<ReceivedFrom> peek_from(std::span<std::byte> into,
                                                 Deadline deadline) noexcept;

    /// Sends all datagrams in order; `sent` is how many have been, also after an error: then the one at
    /// `sent` has not.
    /// Suspends: while there is no room. Errors: as send().
    /// Cost:     one sendmmsg for each kMaxBatch of them, if there is room; no allocation.
    [[nodiscard, gnu::noinline]] Result<void> send_batch(
        std::span<const OutgoingDatagram> datagrams, std::size_t& sent, Deadline deadline) noexcept;
    /// Receives at least one datagram, as many as have come, up to `into.size()` and kMaxBatch.
    /// Returns how many; the others' `received` and `from` are unspecified then.
    /// Suspends: until one has come. Errors: as receive().
    /// Requires: `into` is not empty.
    /// Cost:     one recvmmsg, two if it waited; no allocation.
    [[nodiscard, gnu::noinline]] Result<std::size_t> receive_batch(std::span<IncomingDatagram> into,
                                                                   Deadline deadline) noexcept;

    /// Whether datagrams may go to broadcast addresses.
    [[nodiscard]] Result<void> set_broadcast(bool on) noexcept;
    [[nodiscard]] Result<bool> broadcast() const noexcept;
    /// How many routers a datagram may pass, 1 to 255: IPv4's TTL or IPv6's hop limit.
    [[nodiscard]] Result<void> set_ttl(int hops) noexcept;
    [[nodiscard]] Result<int> ttl() const noexcept;

    /// Receives what is sent to `group`, of the socket's own family, through one interface (its index,
    /// as if_nametoindex() says; 0: the kernel chooses). The group's port does not matter.
    /// Errors: invalid_argument if that is no multicast address, address_in_use if it was joined
    ///         before, no_such_device, address_not_available.
    [[nodiscard]] Result<void> join_multicast(const SocketAddress& group,
                                              unsigned interface_index = 0) noexcept;
    /// Errors: address_not_available if it was not joined.
    [[nodiscard]] Result<void> leave_multicast(const SocketAddress& group,
                                               unsigned interface_index = 0) noexcept;
    /// The interface through which multicast datagrams leave.
    [[nodiscard]] Result<void> set_multicast_interface(unsigned interface_index) noexcept;
    /// Whether what this socket sends comes back to sockets of this host. It does unless told.
    [[nodiscard]] Result<void> set_multicast_loop(bool on) noexcept;
    [[nodiscard]] Result<bool> multicast_loop() const noexcept;
    /// 0 to 255: 0 stays on this host, 1 (unless told) on this network.
    [[nodiscard]] Result<void> set_multicast_ttl(int hops) noexcept;
    [[nodiscard]] Result<int> multicast_ttl() const noexcept;

    /// The address with the port that the kernel chose for port 0.
    [[nodiscard]] Result<SocketAddress> local_address() const noexcept;
    /// Errors: not_connected.
    [[nodiscard]] Result<SocketAddress> peer_address() const noexcept;

private:
    [[nodiscard]] Result<ReceivedFrom> receive_named(std::span<std::byte> into, int flags,
                                                     Deadline deadline) noexcept;
};

}  // namespace coir::net
