#include <netinet/in.h>

#include <cstring>

#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "coir/net/udp_socket.hpp"

namespace coir::net {
namespace {

template <typename T>
Result<void> set(int fd, int level, int name, const T& value) noexcept {
    return syscall::set_option(fd, level, name, std::as_bytes(std::span(&value, 1)));
}

Result<void> change_membership(int fd, const SocketAddress& group, unsigned interface_index,
                               bool join) noexcept {
    if (group.is_ipv6()) {
        sockaddr_in6 native;
        std::memcpy(&native, group.native(), sizeof native);
        const ipv6_mreq request{native.sin6_addr, interface_index};
        return set(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, request);
    }
    sockaddr_in native;
    std::memcpy(&native, group.native(), sizeof native);
    ip_mreqn request{};
    request.imr_multiaddr = native.sin_addr;
    request.imr_ifindex = static_cast<int>(interface_index);
    return set(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, request);
}

/// The option of the socket's family.
Result<void> set_either(int fd, int ipv4_name, int ipv6_name, int value) noexcept {
    const auto family = syscall::get_option(fd, SOL_SOCKET, SO_DOMAIN);
    if (!family) {
        return family.error();
    }
    return *family == AF_INET6 ? syscall::set_option(fd, IPPROTO_IPV6, ipv6_name, value)
                               : syscall::set_option(fd, IPPROTO_IP, ipv4_name, value);
}

Result<int> get_either(int fd, int ipv4_name, int ipv6_name) noexcept {
    COIR_TRY(const int family, syscall::get_option(fd, SOL_SOCKET, SO_DOMAIN));
    return family == AF_INET6 ? syscall::get_option(fd, IPPROTO_IPV6, ipv6_name)
                              : syscall::get_option(fd, IPPROTO_IP, ipv4_name);
}

}  // namespace

Result<void> UdpSocket::join_multicast(const SocketAddress& group,
                                       unsigned interface_index) noexcept {
    return change_membership(source_.fd(), group, interface_index, true);
}

Result<void> UdpSocket::leave_multicast(const SocketAddress& group,
                                        unsigned interface_index) noexcept {
    return change_membership(source_.fd(), group, interface_index, false);
}

Result<void> UdpSocket::set_multicast_interface(unsigned interface_index) noexcept {
    const int fd = source_.fd();
    const auto family = syscall::get_option(fd, SOL_SOCKET, SO_DOMAIN);
    if (!family) {
        return family.error();
    }
    if (*family == AF_INET6) {
        return syscall::set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF,
                                   static_cast<int>(interface_index));
    }
    ip_mreqn request{};
    request.imr_ifindex = static_cast<int>(interface_index);
    return set(fd, IPPROTO_IP, IP_MULTICAST_IF, request);
}

Result<void> UdpSocket::set_multicast_loop(bool on) noexcept {
    return set_either(source_.fd(), IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, on ? 1 : 0);
}

Result<bool> UdpSocket::multicast_loop() const noexcept {
    COIR_TRY(const int on, get_either(source_.fd(), IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP));
    return on != 0;
}

Result<void> UdpSocket::set_multicast_ttl(int hops) noexcept {
    return set_either(source_.fd(), IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, hops);
}

Result<int> UdpSocket::multicast_ttl() const noexcept {
    return get_either(source_.fd(), IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS);
}

}  // namespace coir::net
