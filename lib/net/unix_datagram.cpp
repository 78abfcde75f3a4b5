#include "coir/net/unix_datagram.hpp"

#include <algorithm>

#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "net/backoff.hpp"
#include "net/fd_messages.hpp"
#include "net/unix_names.hpp"

namespace coir::net {

UnixDatagram& UnixDatagram::operator=(UnixDatagram&& other) noexcept {
    file_ = std::move(other.file_);
    DatagramSocket::operator=(std::move(other));
    return *this;
}

Result<UnixDatagram> UnixDatagram::bind(const UnixAddress& address,
                                        const SocketFileOptions& options) noexcept {
    COIR_TRY(UniqueFd socket, syscall::socket(AF_UNIX, SOCK_DGRAM, 0));
    COIR_TRY(detail::SocketFile file,
             detail::SocketFile::bind(socket.get(), SOCK_DGRAM, address, options));
    return UnixDatagram(std::move(socket), std::move(file));
}

Result<UnixDatagram> UnixDatagram::unbound() noexcept {
    COIR_TRY(UniqueFd socket, syscall::socket(AF_UNIX, SOCK_DGRAM, 0));
    return UnixDatagram(std::move(socket));
}

Result<std::pair<UnixDatagram, UnixDatagram>> UnixDatagram::pair() noexcept {
    COIR_TRY(auto ends, syscall::socket_pair(SOCK_DGRAM));
    return std::pair(UnixDatagram(std::move(ends.first)), UnixDatagram(std::move(ends.second)));
}

Result<void> UnixDatagram::connect(const UnixAddress& peer) noexcept {
    return syscall::connect(source_.fd(), peer.native(), peer.native_size());
}

Result<void> UnixDatagram::send_to(std::span<const std::byte> datagram, const UnixAddress& to,
                                   Deadline deadline) noexcept {
    iovec bytes{const_cast<std::byte*>(datagram.data()), datagram.size()};  // only read
    msghdr message{};
    message.msg_name = const_cast<sockaddr*>(to.native());
    message.msg_namelen = to.native_size();
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    detail::Backoff backoff;
    for (;;) {
        if (source_.must_give_up()) {
            return std::errc::operation_canceled;
        }
        const auto sent = syscall::send_message(source_.fd(), message, 0);
        if (sent) {
            return {};
        }
        if (!syscall::would_block(sent.error())) {
            return source_.is_canceled() ? std::make_error_code(std::errc::operation_canceled)
                                         : sent.error();
        }
        if (auto waited = backoff.pause(deadline); !waited) {
            return waited;
        }
    }
}

Result<UnixDatagram::ReceivedFrom> UnixDatagram::receive_from(std::span<std::byte> into,
                                                              Deadline deadline) noexcept {
    NativeAddress from{};
    COIR_TRY(const Received received, receive_message(into, &from, 0, deadline));
    return ReceivedFrom{received, UnixAddress::from_native(from.storage, from.size)};
}

Result<void> UnixDatagram::send_fds(std::span<const std::byte> datagram, std::span<const int> fds,
                                    Deadline deadline) noexcept {
    if (fds.size() > kMaxPassedFds) {
        return std::errc::invalid_argument;
    }
    iovec bytes{const_cast<std::byte*>(datagram.data()), datagram.size()};  // only read
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    detail::FdSpace space;
    space.attach(message, fds);
    const auto sent = source_.when_writable(
        deadline, [&] { return syscall::send_message(source_.fd(), message, 0); });
    return sent ? Result<void>() : sent.error();
}

Result<ReceivedFds> UnixDatagram::receive_fds(std::span<std::byte> into, std::span<UniqueFd> fds,
                                              Deadline deadline) noexcept {
    iovec bytes{into.data(), into.size()};
    detail::FdSpace space;
    msghdr message{};
    bool has_come = false;
    const auto size = source_.when_readable(deadline, [&] {
        message = {};
        message.msg_iov = &bytes;
        message.msg_iovlen = 1;
        space.attach(message, fds.size());
        const auto read =
            syscall::receive_message(source_.fd(), message, MSG_TRUNC | MSG_CMSG_CLOEXEC);
        has_come = read.has_value();
        return read;
    });
    if (!size) {
        if (has_come) {
            (void)detail::take_fds(message, {});  // a close() came with them: nobody will have them
        }
        return size.error();
    }
    ReceivedFds received = detail::take_fds(message, fds);
    received.size = std::min(*size, into.size());
    received.whole_size = *size;
    return received;
}

Result<UnixAddress> UnixDatagram::local_address() const noexcept {
    return detail::local_unix_address(source_.fd());
}

Result<UnixAddress> UnixDatagram::peer_address() const noexcept {
    return detail::peer_unix_address(source_.fd());
}

}  // namespace coir::net
