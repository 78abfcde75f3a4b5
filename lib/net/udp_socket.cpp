#include "coir/net/udp_socket.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "coir/base/assert.hpp"
#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "net/socket_options.hpp"

namespace coir::net {

Result<UdpSocket> UdpSocket::bind(const SocketAddress& address,
                                  const UdpOptions& options) noexcept {
    COIR_TRY(UniqueFd socket, syscall::socket(address.family(), SOCK_DGRAM, 0));
    const int fd = socket.get();
    const struct {
        bool wanted;
        int level;
        int name;
    } wishes[] = {{options.share_address, SOL_SOCKET, SO_REUSEADDR},
                  {options.share_port, SOL_SOCKET, SO_REUSEPORT},
                  {options.only_ipv6 && address.is_ipv6(), IPPROTO_IPV6, IPV6_V6ONLY}};
    for (const auto& wish : wishes) {
        if (wish.wanted) {
            if (auto done = syscall::set_option(fd, wish.level, wish.name, 1); !done) {
                return done.error();
            }
        }
    }
    if (auto done = syscall::bind(fd, address.native(), address.native_size()); !done) {
        return done.error();
    }
    return UdpSocket(std::move(socket));
}

Result<void> UdpSocket::connect(const SocketAddress& peer) noexcept {
    return syscall::connect(source_.fd(), peer.native(), peer.native_size());
}

Result<void> UdpSocket::send_to(std::span<const std::byte> datagram, const SocketAddress& to,
                                Deadline deadline) noexcept {
    return send_message(datagram, to.native(), to.native_size(), deadline);
}

Result<UdpSocket::ReceivedFrom> UdpSocket::receive_named(std::span<std::byte> into, int flags,
                                                         Deadline deadline) noexcept {
    NativeAddress from{};
    COIR_TRY(const Received received, receive_message(into, &from, flags, deadline));
    return ReceivedFrom{received, SocketAddress::from_native(from.storage)};
}

Result<UdpSocket::ReceivedFrom> UdpSocket::receive_from(std::span<std::byte> into,
                                                        Deadline deadline) noexcept {
    return receive_named(into, 0, deadline);
}

Result<UdpSocket::ReceivedFrom> UdpSocket::peek_from(std::span<std::byte> into,
                                                     Deadline deadline) noexcept {
    return receive_named(into, MSG_PEEK, deadline);
}

Result<void> UdpSocket::send_batch(std::span<const OutgoingDatagram> datagrams, std::size_t& sent,
                                   Deadline deadline) noexcept {
    sent = 0;
    while (sent != datagrams.size()) {
        std::array<mmsghdr, kMaxBatch> messages;
        std::array<iovec, kMaxBatch> bytes;
        const auto batch = datagrams.subspan(sent, std::min(datagrams.size() - sent, kMaxBatch));
        for (std::size_t i = 0; i != batch.size(); ++i) {
            // The kernel only reads both.
            bytes[i] = {const_cast<std::byte*>(batch[i].bytes.data()), batch[i].bytes.size()};
            messages[i] = {};
            msghdr& message = messages[i].msg_hdr;
            message.msg_iov = &bytes[i];
            message.msg_iovlen = 1;
            if (batch[i].to != nullptr) {
                message.msg_name = const_cast<sockaddr*>(batch[i].to->native());
                message.msg_namelen = batch[i].to->native_size();
            }
        }
        COIR_TRY(const std::size_t count, source_.when_writable(deadline, [&] {
            return syscall::send_messages(source_.fd(), std::span(messages).first(batch.size()), 0);
        }));
        sent += count;
    }
    return {};
}

Result<std::size_t> UdpSocket::receive_batch(std::span<IncomingDatagram> into,
                                             Deadline deadline) noexcept {
    COIR_ASSERT(!into.empty());
    std::array<mmsghdr, kMaxBatch> messages;
    std::array<iovec, kMaxBatch> spaces;
    const auto batch = into.first(std::min(into.size(), kMaxBatch));
    COIR_TRY(const std::size_t count, source_.when_readable(deadline, [&] {
        for (std::size_t i = 0; i != batch.size(); ++i) {
            spaces[i] = {batch[i].space.data(), batch[i].space.size()};
            messages[i] = {};
            msghdr& message = messages[i].msg_hdr;
            message.msg_name = &batch[i].from.storage_;
            message.msg_namelen = sizeof batch[i].from.storage_;
            message.msg_iov = &spaces[i];
            message.msg_iovlen = 1;
        }
        return syscall::receive_messages(source_.fd(), std::span(messages).first(batch.size()),
                                         MSG_TRUNC);
    }));
    for (std::size_t i = 0; i != count; ++i) {
        const std::size_t whole = messages[i].msg_len;
        batch[i].received = {std::min(whole, batch[i].space.size()), whole};
    }
    return count;
}

Result<void> UdpSocket::set_broadcast(bool on) noexcept {
    return syscall::set_option(source_.fd(), SOL_SOCKET, SO_BROADCAST, on ? 1 : 0);
}

Result<bool> UdpSocket::broadcast() const noexcept {
    COIR_TRY(const int on, syscall::get_option(source_.fd(), SOL_SOCKET, SO_BROADCAST));
    return on != 0;
}

Result<void> UdpSocket::set_ttl(int hops) noexcept {
    return detail::set_ttl(source_.fd(), hops);
}

Result<int> UdpSocket::ttl() const noexcept {
    return detail::ttl(source_.fd());
}

Result<SocketAddress> UdpSocket::local_address() const noexcept {
    return detail::local_address(source_.fd());
}

Result<SocketAddress> UdpSocket::peer_address() const noexcept {
    return detail::peer_address(source_.fd());
}

}  // namespace coir::net
