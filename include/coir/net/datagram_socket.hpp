#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <system_error>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/net/socket_access.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir::net {

/// What has come of a datagram. A size of 0 is a datagram without bytes, and no end of anything.
struct Received {
    std::size_t size = 0;        ///< Bytes in the caller's buffer.
    std::size_t whole_size = 0;  ///< Bytes that were sent.

    /// The buffer was too small. The rest is lost, unless this was a peek.
    [[nodiscard]] bool is_truncated() const noexcept { return size != whole_size; }
};

/// What UDP and Unix datagram sockets have in common. A datagram is sent or received whole.
///
/// A call that ends with timed_out, or with operation_canceled because its fiber was asked to stop,
/// has sent or received nothing and leaves the socket as usable as before. After close() every call
/// ends with operation_canceled, and is_open() is false. An error that names the peer
/// (connection_refused, host_unreachable) is news of an earlier datagram: the socket stays usable.
///
/// Threads: one receiving and one sending fiber at a time; close() from anywhere while it lives. The
/// calls work on plain threads as well, where they block the thread.
class DatagramSocket {
public:
    /// Sends one datagram to the peer of connect(). It may be empty.
    /// Suspends: while there is no room for it.
    /// Errors:   timed_out, operation_canceled, destination_address_required without connect(),
    ///           message_size, connection_refused for an earlier one that nobody took.
    /// Cost:     one sendmsg, if there is room at once.
    [[nodiscard]] Result<void> send(std::span<const std::byte> datagram,
                                    Deadline deadline) noexcept;
    /// Receives one datagram; what does not fit `into` is dropped, and reported.
    /// Suspends: until one has come.
    /// Errors:   timed_out, operation_canceled, connection_refused for one that was sent.
    /// Cost:     one recvmsg, two if it waited.
    [[nodiscard]] Result<Received> receive(std::span<std::byte> into, Deadline deadline) noexcept;
    /// As receive(), but the datagram stays. With an empty `into` it tells the size.
    [[nodiscard]] Result<Received> peek(std::span<std::byte> into, Deadline deadline) noexcept;

    /// Ends the calls of both fibers with operation_canceled. The descriptor's number is freed by the
    /// destructor. Threads: any, while *this lives.
    void close() noexcept;

    /// The kernel's buffers, in bytes. It doubles what it is told and has limits of its own.
    [[nodiscard]] Result<void> set_send_buffer_bytes(int bytes) noexcept;
    [[nodiscard]] Result<void> set_receive_buffer_bytes(int bytes) noexcept;
    [[nodiscard]] Result<int> send_buffer_bytes() const noexcept;
    [[nodiscard]] Result<int> receive_buffer_bytes() const noexcept;
    /// News of an earlier datagram that nobody has been told of, which is forgotten then (SO_ERROR);
    /// none if there is none.
    [[nodiscard]] std::error_code take_error() noexcept;

    [[nodiscard]] bool is_open() const noexcept {
        return source_.is_open() && !source_.is_canceled();
    }
    [[nodiscard]] int native_handle() const noexcept { return source_.fd(); }

protected:
    friend struct detail::SocketAccess;

    struct NativeAddress {
        sockaddr_storage storage;
        socklen_t size;
    };

    DatagramSocket() noexcept = default;
    explicit DatagramSocket(UniqueFd socket) noexcept : source_(std::move(socket)) {}
    DatagramSocket(DatagramSocket&&) noexcept = default;
    DatagramSocket& operator=(DatagramSocket&&) noexcept = default;
    ~DatagramSocket() = default;

    /// One datagram and, unless `from` is null, who sent it.
    [[nodiscard]] Result<Received> receive_message(std::span<std::byte> into, NativeAddress* from,
                                                   int flags, Deadline deadline) noexcept;
    [[nodiscard]] Result<void> send_message(std::span<const std::byte> datagram, const sockaddr* to,
                                            socklen_t to_size, Deadline deadline) noexcept;

    IoSource source_;
};

}  // namespace coir::net
