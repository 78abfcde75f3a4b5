#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/net/datagram_socket.hpp"
#include "coir/net/passed_fds.hpp"
#include "coir/net/socket_file.hpp"
#include "coir/net/unix_address.hpp"

namespace coir::net {

/// A Unix datagram socket: nothing is lost and nothing overtakes. send(), receive(), peek(), close()
/// and their contract: see DatagramSocket.
///
/// A full queue of the receiver makes the sender wait; a receiver is not told that a sender has gone.
class UnixDatagram final : public DatagramSocket {
public:
    struct ReceivedFrom : Received {
        UnixAddress from;  ///< Unnamed if the sender has no name to reply to.
    };

    UnixDatagram() noexcept = default;
    /// Requires: a non-blocking Unix datagram socket.
    explicit UnixDatagram(UniqueFd socket) noexcept : DatagramSocket(std::move(socket)) {}
    UnixDatagram(UnixDatagram&&) noexcept = default;
    UnixDatagram& operator=(UnixDatagram&& other) noexcept;

    /// Unnamed: the kernel chooses an abstract name.
    /// Never suspends. Errors: address_in_use, permission_denied, no_such_file_or_directory.
    [[nodiscard]] static Result<UnixDatagram> bind(const UnixAddress& address,
                                                   const SocketFileOptions& options = {}) noexcept;
    /// One that can send, and receives only from the peer of connect(), if that knows it.
    [[nodiscard]] static Result<UnixDatagram> unbound() noexcept;
    /// Two that are connected to each other.
    [[nodiscard]] static Result<std::pair<UnixDatagram, UnixDatagram>> pair() noexcept;

    /// From now on send() goes to `peer`. Never suspends.
    [[nodiscard]] Result<void> connect(const UnixAddress& peer) noexcept;

    /// As send(), to `to`. If that is not the peer of connect() and its queue is full, this looks again
    /// every 16 ms at the latest: the kernel does not tell.
    /// Errors: also connection_refused and no_such_file_or_directory.
    [[nodiscard]] Result<void> send_to(std::span<const std::byte> datagram, const UnixAddress& to,
                                       Deadline deadline) noexcept;
    /// As receive(), and who sent it.
    [[nodiscard]] Result<ReceivedFrom> receive_from(std::span<std::byte> into,
                                                    Deadline deadline) noexcept;

    /// As send(), and passes copies of `fds` along; see UnixStream::send_fds().
    [[nodiscard]] Result<void> send_fds(std::span<const std::byte> datagram,
                                        std::span<const int> fds, Deadline deadline) noexcept;
    /// As receive(), and takes the descriptors; see UnixStream::receive_fds().
    [[nodiscard]] Result<ReceivedFds> receive_fds(std::span<std::byte> into,
                                                  std::span<UniqueFd> fds,
                                                  Deadline deadline) noexcept;

    [[nodiscard]] Result<UnixAddress> local_address() const noexcept;
    [[nodiscard]] Result<UnixAddress> peer_address() const noexcept;

private:
    UnixDatagram(UniqueFd socket, detail::SocketFile file) noexcept
        : DatagramSocket(std::move(socket)), file_(std::move(file)) {}

    detail::SocketFile file_;
};

}  // namespace coir::net
