#include "coir/net/datagram_socket.hpp"

#include <algorithm>

#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "net/socket_options.hpp"

namespace coir::net {

Result<Received> DatagramSocket::receive_message(std::span<std::byte> into, NativeAddress* from,
                                                 int flags, Deadline deadline) noexcept {
    iovec space{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &space;
    message.msg_iovlen = 1;
    const auto size = source_.when_readable(deadline, [&] {
        if (from != nullptr) {
            message.msg_name = &from->storage;
            message.msg_namelen = sizeof from->storage;
        }
        return syscall::receive_message(source_.fd(), message, flags | MSG_TRUNC);
    });
    if (!size) {
        return size.error();
    }
    if (from != nullptr) {
        from->size = message.msg_namelen;
    }
    return Received{std::min(*size, into.size()), *size};
}

Result<void> DatagramSocket::send_message(std::span<const std::byte> datagram, const sockaddr* to,
                                          socklen_t to_size, Deadline deadline) noexcept {
    // The kernel only reads both.
    iovec bytes{const_cast<std::byte*>(datagram.data()), datagram.size()};
    msghdr message{};
    message.msg_name = const_cast<sockaddr*>(to);
    message.msg_namelen = to_size;
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    const auto sent = source_.when_writable(
        deadline, [&] { return syscall::send_message(source_.fd(), message, 0); });
    return sent ? Result<void>() : sent.error();
}

Result<void> DatagramSocket::send(std::span<const std::byte> datagram, Deadline deadline) noexcept {
    return send_message(datagram, nullptr, 0, deadline);
}

Result<Received> DatagramSocket::receive(std::span<std::byte> into, Deadline deadline) noexcept {
    return receive_message(into, nullptr, 0, deadline);
}

Result<Received> DatagramSocket::peek(std::span<std::byte> into, Deadline deadline) noexcept {
    return receive_message(into, nullptr, MSG_PEEK, deadline);
}

void DatagramSocket::close() noexcept {
    if (source_.is_open()) {
        source_.close();
    }
}

Result<void> DatagramSocket::set_send_buffer_bytes(int bytes) noexcept {
    return syscall::set_option(source_.fd(), SOL_SOCKET, SO_SNDBUF, bytes);
}

Result<void> DatagramSocket::set_receive_buffer_bytes(int bytes) noexcept {
    return syscall::set_option(source_.fd(), SOL_SOCKET, SO_RCVBUF, bytes);
}

Result<int> DatagramSocket::send_buffer_bytes() const noexcept {
    return syscall::get_option(source_.fd(), SOL_SOCKET, SO_SNDBUF);
}

Result<int> DatagramSocket::receive_buffer_bytes() const noexcept {
    return syscall::get_option(source_.fd(), SOL_SOCKET, SO_RCVBUF);
}

std::error_code DatagramSocket::take_error() noexcept {
    return detail::take_socket_error(source_.fd());
}

}  // namespace coir::net
