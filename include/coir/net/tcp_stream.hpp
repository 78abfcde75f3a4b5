#pragma once

#include <cstddef>
#include <span>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/address.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir::net {

enum class Shutdown { read, write, both };

/// A connected TCP socket with blocking-style reads and writes.
///
/// Threads: one reading and one writing fiber at a time; cancel() from anywhere while it lives. The
/// calls work on plain threads as well, where they block the thread.
class TcpStream final {
public:
    TcpStream() noexcept = default;
    /// Requires: a connected, non-blocking socket.
    explicit TcpStream(UniqueFd socket) noexcept : source_(std::move(socket)) {}
    TcpStream(TcpStream&&) noexcept = default;
    TcpStream& operator=(TcpStream&&) noexcept = default;

    /// Suspends: until connected. Errors: timed_out, connection_refused, what connect() says.
    [[nodiscard]] static Result<TcpStream> connect(const SocketAddress& address,
                                                   Deadline deadline) noexcept;

    /// Reads at least one byte, as many as have arrived, up to `into.size()`.
    ///
    /// Returns 0 when the peer has finished sending.
    /// Suspends: until readable or `deadline`; not at all if bytes are waiting.
    /// Errors:   timed_out (the stream stays usable), connection_reset, operation_canceled.
    /// Threads:  one reading fiber at a time.
    /// Requires: is_open(), and `into` is not empty.
    /// Cost:     one recv, two if it waited without wait_readable(); no allocation.
    [[nodiscard]] Result<std::size_t> read_some(std::span<std::byte> into,
                                                Deadline deadline) noexcept;
    /// Reads exactly `into.size()` bytes. Errors: as read_some(), and unexpected_eof.
    [[nodiscard]] Result<void> read_exact(std::span<std::byte> into, Deadline deadline) noexcept;

    /// Waits until read_some() has something to say, without holding a buffer for it.
    /// Suspends: as read_some(). Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait_readable(Deadline deadline) noexcept;

    /// Writes all of `from`. After an error an unknown part of it has been sent.
    /// Suspends: while the socket's buffer is full. `deadline` is for the whole write.
    /// Errors:   timed_out, broken_pipe, connection_reset, operation_canceled.
    /// Cost:     one send, if the kernel takes it at once.
    [[nodiscard]] Result<void> write_all(std::span<const std::byte> from,
                                         Deadline deadline) noexcept;
    /// Writes what the socket's buffer takes at once. Errors: as write_all(), and would-block.
    [[nodiscard]] Result<std::size_t> try_write_some(std::span<const std::byte> from) noexcept;
    /// Writes all pieces in order, up to 64 of them with one system call.
    // Never inlined: its table would lie in the frame of every caller that waits for something else.
    [[nodiscard, gnu::noinline]] Result<void> write_all(
        std::span<const std::span<const std::byte>> pieces, Deadline deadline) noexcept;

    [[nodiscard]] Result<void> shutdown(Shutdown how) noexcept;

    /// Ends the connection in both directions and wakes both fibers with operation_canceled. The
    /// descriptor's number is freed by the destructor, so that it cannot be reused under a fiber
    /// that is still in a call. Threads: any, while *this lives.
    void close() noexcept;

    [[nodiscard]] Result<void> set_no_delay(bool on) noexcept;
    /// On close with unsent bytes: reset the connection at once.
    [[nodiscard]] Result<void> set_reset_on_close() noexcept;
    /// What has been written and has not reached the peer's kernel. Errors: not_connected, also after
    /// a reset.
    [[nodiscard]] Result<std::size_t> unconfirmed_bytes() const noexcept;
    [[nodiscard]] Result<SocketAddress> local_address() const noexcept;
    [[nodiscard]] Result<SocketAddress> peer_address() const noexcept;

    [[nodiscard]] bool is_open() const noexcept {
        return source_.is_open() && !source_.is_canceled();
    }
    [[nodiscard]] int native_handle() const noexcept { return source_.fd(); }

private:
    /// close() shows as operation_canceled, not as what the kernel says of the socket then.
    [[nodiscard]] std::error_code failure(std::error_code error) const noexcept;

    IoSource source_;
    // Whether a read may find something without waiting: the last one filled its buffer, or there
    // was none yet. After a short one the kernel reports the next bytes as an edge. The reading
    // fiber's own.
    bool may_have_more_ = true;
};

}  // namespace coir::net
