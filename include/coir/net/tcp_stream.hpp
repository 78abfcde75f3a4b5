#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/address.hpp"
#include "coir/net/split.hpp"
#include "coir/net/stream_socket.hpp"

namespace coir::net {

/// How the kernel finds out that a silent peer has gone: it asks after `idle`, and again each
/// `interval`, and after `count` questions without a reply the connection has timed out. 1 s to 32,767
/// s, and 1 to 127 questions.
struct KeepAlive {
    std::chrono::seconds idle{60};
    std::chrono::seconds interval{10};
    int count = 6;

    friend bool operator==(const KeepAlive&, const KeepAlive&) = default;
};

/// A connected TCP socket. Reads, writes, close() and their contract: see StreamSocket.
class TcpStream final : public StreamSocket {
public:
    TcpStream() noexcept = default;
    /// Requires: a connected, non-blocking socket.
    explicit TcpStream(UniqueFd socket) noexcept
        : StreamSocket(std::move(socket), ShortRead::means_empty) {}

    /// Suspends: until connected. Errors: timed_out, connection_refused, what connect() says.
    [[nodiscard]] static Result<TcpStream> connect(const SocketAddress& address,
                                                   Deadline deadline) noexcept;

    /// A reading and a writing half, for two fibers; reunite() makes one stream of them again.
    /// Errors:   std::bad_alloc; the stream is whole then.
    /// Requires: is_open().
    /// Cost:     one allocation; no second descriptor.
    [[nodiscard]] Halves<TcpStream> split() &&;
    /// As close(), but the peer learns of it by a reset, which the destructor sends: it cannot take
    /// what it got for all there was. Threads: any, while *this lives.
    void abort() noexcept;

    [[nodiscard]] Result<void> set_no_delay(bool on) noexcept;
    [[nodiscard]] Result<bool> no_delay() const noexcept;
    /// Confirm what arrives at once, until the kernel changes its mind.
    [[nodiscard]] Result<void> set_quick_ack(bool on) noexcept;
    /// Nothing turns it off. Errors: invalid_argument for numbers out of range.
    [[nodiscard]] Result<void> set_keep_alive(const std::optional<KeepAlive>& how) noexcept;
    [[nodiscard]] Result<std::optional<KeepAlive>> keep_alive() const noexcept;
    /// How many routers a packet may pass: IPv4's TTL or IPv6's hop limit, 1 to 255.
    [[nodiscard]] Result<void> set_ttl(int hops) noexcept;
    [[nodiscard]] Result<int> ttl() const noexcept;
    /// In the destructor: reset the connection, and drop what has not been sent. Otherwise the kernel
    /// goes on sending it. There is no lingering for a time: the kernel would block the thread for
    /// it. To know that all has arrived, shut the writing side down and read to the end.
    [[nodiscard]] Result<void> set_reset_on_close(bool on = true) noexcept;
    [[nodiscard]] Result<bool> reset_on_close() const noexcept;

    /// What has been written and has not reached the peer's kernel. Errors: not_connected, also after
    /// a reset.
    [[nodiscard]] Result<std::size_t> unconfirmed_bytes() const noexcept;
    [[nodiscard]] Result<SocketAddress> local_address() const noexcept;
    [[nodiscard]] Result<SocketAddress> peer_address() const noexcept;
};

}  // namespace coir::net
