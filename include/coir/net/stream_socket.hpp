#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/net/socket_access.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir {
class NextTurn;
}  // namespace coir

namespace coir::net {

enum class Shutdown { read, write, both };

/// What TCP and Unix streams have in common: a connected socket with blocking-style reads and writes.
///
/// A call that ends with timed_out, or with operation_canceled because its fiber was asked to stop,
/// leaves the stream as usable as before. Nothing is lost: what has been read lies in the caller's
/// buffer, what has been written is on its way, and both are counted by the calls that say so
/// (read_exact and write_all with a count, write_some). A read_exact() can go on with the rest of its
/// buffer, a write_all() with the rest of its bytes; whoever does not know the count can only close.
/// After close() every call ends with operation_canceled, and is_open() is false.
///
/// Threads: one reading and one writing fiber at a time; close() from anywhere while it lives. The
/// calls work on plain threads as well, where they block the thread.
class StreamSocket {
public:
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
    /// The same; `read` is how many bytes lie in `into` now, also after an error.
    [[nodiscard]] Result<void> read_exact(std::span<std::byte> into, std::size_t& read,
                                          Deadline deadline) noexcept;
    /// As read_some(), but the bytes stay: the next read finds them again.
    [[nodiscard]] Result<std::size_t> peek(std::span<std::byte> into, Deadline deadline) noexcept;

    /// Reads what has arrived. Errors: as read_some(), and would-block.
    /// Requires: `into` is not empty. Cost: one recv.
    [[nodiscard]] Result<std::size_t> try_read_some(std::span<std::byte> into) noexcept;

    /// Waits until read_some() has something to say, without holding a buffer for it.
    /// Suspends: as read_some(); may end for nothing. Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait_readable(Deadline deadline) noexcept;
    /// The same as the end of a session's turn (coir/runtime/session.hpp). Never suspends.
    [[nodiscard]] NextTurn when_readable(Deadline deadline) noexcept;
    /// Ends the reading fiber's wait_readable(), or its next wait; reads that wait begin anew. No byte is
    /// lost. Threads: any, while *this lives.
    void wake_reader() noexcept { source_.wake_reader(); }

    /// Writes all of `from`. After an error an unknown part of it has been sent.
    /// Suspends: while the socket's buffer is full. `deadline` is for the whole write.
    /// Errors:   timed_out, broken_pipe, connection_reset, operation_canceled.
    /// Cost:     one send, if the kernel takes it at once.
    [[nodiscard]] Result<void> write_all(std::span<const std::byte> from,
                                         Deadline deadline) noexcept;
    /// The same; `written` is how many bytes the kernel has taken, also after an error.
    [[nodiscard]] Result<void> write_all(std::span<const std::byte> from, std::size_t& written,
                                         Deadline deadline) noexcept;
    /// Writes at least one byte, as many as the socket's buffer takes; the rest has not been sent.
    /// Suspends: while the socket's buffer is full. Errors: as write_all(); nothing was sent then.
    /// Requires: `from` is not empty.
    [[nodiscard]] Result<std::size_t> write_some(std::span<const std::byte> from,
                                                 Deadline deadline) noexcept;
    /// Writes what the socket's buffer takes at once. Errors: as write_all(), and would-block.
    [[nodiscard]] Result<std::size_t> try_write_some(std::span<const std::byte> from) noexcept;
    /// Writes all pieces in order, up to 64 of them with one system call.
    [[nodiscard]] Result<void> write_all(std::span<const std::span<const std::byte>> pieces,
                                         Deadline deadline) noexcept {
        std::size_t written;
        return write_all(pieces, written, deadline);
    }
    // Never inlined: its table would lie in the frame of every caller that waits for something else.
    [[nodiscard, gnu::noinline]] Result<void> write_all(
        std::span<const std::span<const std::byte>> pieces, std::size_t& written,
        Deadline deadline) noexcept;

    /// Writes `count` bytes of `file`, a regular file, from `offset` on. No byte passes through this
    /// process, and the file's own position stays. `sent` is how many bytes the kernel has taken, also
    /// after an error.
    ///
    /// Suspends: while the socket's buffer is full; lets other fibers run after each megabyte. A file
    ///           that is not in memory blocks the thread while the disk reads.
    /// Errors:   as write_all(); unexpected_eof where the file ends (or has been cut) before `count`;
    ///           invalid_argument or invalid_seek if `file` is a directory, a pipe or a socket.
    /// Cost:     a sendfile for what the socket's buffer takes, and two or three calls that keep SIGPIPE away.
    [[nodiscard]] Result<void> send_file(int file, std::uint64_t offset, std::size_t count,
                                         std::size_t& sent, Deadline deadline) noexcept;

    [[nodiscard]] Result<void> shutdown(Shutdown how) noexcept;

    /// Ends the connection in both directions and wakes both fibers with operation_canceled. The
    /// descriptor's number is freed by the destructor, so that it cannot be reused under a fiber
    /// that is still in a call. Threads: any, while *this lives.
    void close() noexcept;

    /// The kernel's buffers, in bytes. It doubles what it is told, for its own book-keeping, and has
    /// limits of its own; without a call it finds the sizes by itself, which is better for most.
    [[nodiscard]] Result<void> set_send_buffer_bytes(int bytes) noexcept;
    [[nodiscard]] Result<void> set_receive_buffer_bytes(int bytes) noexcept;
    [[nodiscard]] Result<int> send_buffer_bytes() const noexcept;
    [[nodiscard]] Result<int> receive_buffer_bytes() const noexcept;
    /// The error that the connection has met and nobody has been told of, which is forgotten then
    /// (SO_ERROR); none if there is none.
    [[nodiscard]] std::error_code take_error() noexcept;

    [[nodiscard]] bool is_open() const noexcept {
        return source_.is_open() && !source_.is_canceled();
    }
    [[nodiscard]] int native_handle() const noexcept { return source_.fd(); }

protected:
    friend struct detail::SocketAccess;

    enum class ShortRead {
        means_empty,   ///< The kernel gives all it has; the next bytes come with an edge.
        means_nothing  ///< It also ends a read where passed descriptors lie between the bytes.
    };

    StreamSocket() noexcept = default;
    StreamSocket(UniqueFd socket, ShortRead short_read) noexcept
        : source_(std::move(socket)), reads_stop_early_(short_read == ShortRead::means_nothing) {}
    StreamSocket(StreamSocket&&) noexcept = default;
    StreamSocket& operator=(StreamSocket&&) noexcept = default;
    ~StreamSocket() = default;

    /// close() shows as operation_canceled, not as what the kernel says of the socket then.
    [[nodiscard]] std::error_code failure(std::error_code error) const noexcept;
    /// A read said would-block: the next bytes come with an edge. The reading fiber's.
    void found_nothing() noexcept { may_have_more_ = false; }

    IoSource source_;

private:
    // Whether a read may find something without waiting: the last one filled its buffer, or there
    // was none yet. After a short one the kernel reports the next bytes as an edge. The reading
    // fiber's own.
    bool may_have_more_ = true;
    bool reads_stop_early_ = false;
};

}  // namespace coir::net
