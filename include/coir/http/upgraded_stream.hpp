#pragma once

#include <cstddef>
#include <span>
#include <stop_token>
#include <utility>

#include "coir/base/buffer.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/tcp_stream.hpp"

namespace coir::http {

/// A connection that has left HTTP, as the hook of Response::upgrade() gets it.
///
/// The problem: a client may send the first bytes of the new protocol behind its request, and the
/// engine has read them. So reads go through here: first those bytes, then the socket. Writes and
/// all the rest go to stream(). No timeout of the server's is left: the deadlines are the hook's.
///
/// Threads: one reading and one writing fiber at a time. Those that the hook has started must have
///          ended when it returns, as they do in a Scope.
class UpgradedStream final {
public:
    /// `arrived`: what has been read of the new protocol already.
    UpgradedStream(net::TcpStream& stream, Buffer arrived, std::stop_token stopping) noexcept
        : stream_(stream), arrived_(std::move(arrived)), stopping_(std::move(stopping)) {}
    UpgradedStream(const UpgradedStream&) = delete;
    UpgradedStream& operator=(const UpgradedStream&) = delete;

    /// The client's socket. A stop of the server ends one wait_readable() on it for nothing. Its reads know nothing of arrived(). close() or abort() it to end the
    /// connection without the server's lingering, from any thread. Requires: it is not moved from.
    [[nodiscard]] net::TcpStream& stream() noexcept { return stream_; }

    /// Reads at least one byte; 0 when the client has finished sending.
    /// Suspends, Errors, Requires: as StreamSocket::read_some(); no wait while bytes have arrived().
    [[nodiscard]] Result<std::size_t> read_some(std::span<std::byte> into,
                                                Deadline deadline) noexcept;
    /// Reads exactly `into.size()` bytes. Suspends, Errors: as read_some(), and unexpected_eof.
    [[nodiscard]] Result<void> read_exact(std::span<std::byte> into, Deadline deadline) noexcept;
    /// Reads what has arrived.
    /// Errors: as read_some(), and operation_would_block. Requires: `into` is not empty.
    [[nodiscard]] Result<std::size_t> try_read_some(std::span<std::byte> into) noexcept;
    /// Waits until read_some() has something to say, without holding a buffer for it.
    /// Suspends, Errors: as StreamSocket::wait_readable(); not at all while bytes have arrived().
    [[nodiscard]] Result<void> wait_readable(Deadline deadline) noexcept;
    /// What was read with the request and no read has taken yet. Valid until the next read.
    [[nodiscard]] std::span<const std::byte> arrived() const noexcept {
        return arrived_.readable();
    }

    /// Triggered when the server stops, or has stopped before: time to say goodbye. The stream
    /// stays as it is until the deadline of Server::stop(), and is cut then. serve() waits for the
    /// hook. One that only waits for its client hears of it so (others ask a Scope to stop):
    ///
    ///     const auto stops = client.stop_token();
    ///     const std::stop_callback on_stop(stops, [&] { client.stream().wake_reader(); });
    ///     while (!stops.stop_requested() && client.wait_readable(deadline)) {
    ///         const auto read = client.try_read_some(room);
    ///         ...
    ///     }
    ///
    /// Threads: its callbacks run wherever stop() is called, and must not suspend.
    [[nodiscard]] std::stop_token stop_token() const noexcept { return stopping_; }

private:
    /// Takes from arrived_, and frees it with its last byte. Requires: neither is empty.
    std::size_t take_arrived(std::span<std::byte> into) noexcept;

    net::TcpStream& stream_;
    Buffer arrived_;
    std::stop_token stopping_;
};

}  // namespace coir::http
