#include "coir/net/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "coir/base/error.hpp"
#include "coir/base/number.hpp"

namespace coir::net {
namespace {

sockaddr_storage make_ipv4(in_addr address, std::uint16_t port) noexcept {
    sockaddr_in native{};
    native.sin_family = AF_INET;
    native.sin_port = htons(port);
    native.sin_addr = address;
    sockaddr_storage storage{};
    std::memcpy(&storage, &native, sizeof native);
    return storage;
}

sockaddr_storage make_ipv6(const in6_addr& address, std::uint16_t port) noexcept {
    sockaddr_in6 native{};
    native.sin6_family = AF_INET6;
    native.sin6_port = htons(port);
    native.sin6_addr = address;
    sockaddr_storage storage{};
    std::memcpy(&storage, &native, sizeof native);
    return storage;
}

const sockaddr_in& as_ipv4(const sockaddr_storage& storage) noexcept {
    return reinterpret_cast<const sockaddr_in&>(storage);
}

const sockaddr_in6& as_ipv6(const sockaddr_storage& storage) noexcept {
    return reinterpret_cast<const sockaddr_in6&>(storage);
}

}  // namespace

SocketAddress::SocketAddress() noexcept : storage_(make_ipv4({}, 0)) {}

Result<SocketAddress> SocketAddress::parse(std::string_view host, std::uint16_t port) noexcept {
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
        if (host.find(':') == std::string_view::npos) {
            return Errc::malformed_address;
        }
    }
    char text[INET6_ADDRSTRLEN];
    if (host.empty() || host.size() >= sizeof text || host.find('\0') != std::string_view::npos) {
        return Errc::malformed_address;
    }
    std::memcpy(text, host.data(), host.size());
    text[host.size()] = '\0';
    SocketAddress address;
    in_addr ipv4{};
    in6_addr ipv6{};
    if (::inet_pton(AF_INET, text, &ipv4) == 1) {
        address.storage_ = make_ipv4(ipv4, port);
    } else if (::inet_pton(AF_INET6, text, &ipv6) == 1) {
        address.storage_ = make_ipv6(ipv6, port);
    } else {
        return Errc::malformed_address;
    }
    return address;
}

Result<SocketAddress> SocketAddress::parse(std::string_view host_and_port) noexcept {
    const auto colon = host_and_port.rfind(':');
    if (colon == std::string_view::npos) {
        return Errc::malformed_address;
    }
    const std::string_view host = host_and_port.substr(0, colon);
    const auto port = parse_integer<std::uint16_t>(host_and_port.substr(colon + 1));
    // "::1:80" could mean two things: an IPv6 address needs its brackets here.
    if (!port || (host.find(':') != std::string_view::npos && host.front() != '[')) {
        return Errc::malformed_address;
    }
    return parse(host, *port);
}

SocketAddress SocketAddress::from_native(const sockaddr_storage& address) noexcept {
    SocketAddress result;
    result.storage_ = address;
    return result;
}

SocketAddress SocketAddress::any(std::uint16_t port) noexcept {
    return SocketAddress().with_port(port);
}

SocketAddress SocketAddress::loopback(std::uint16_t port) noexcept {
    in_addr address{};
    address.s_addr = htonl(INADDR_LOOPBACK);
    SocketAddress result;
    result.storage_ = make_ipv4(address, port);
    return result;
}

std::uint16_t SocketAddress::port() const noexcept {
    return ntohs(is_ipv6() ? as_ipv6(storage_).sin6_port : as_ipv4(storage_).sin_port);
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const noexcept {
    SocketAddress result = *this;
    if (is_ipv6()) {
        reinterpret_cast<sockaddr_in6&>(result.storage_).sin6_port = htons(port);
    } else {
        reinterpret_cast<sockaddr_in&>(result.storage_).sin_port = htons(port);
    }
    return result;
}

bool SocketAddress::is_ipv6() const noexcept {
    return storage_.ss_family == AF_INET6;
}

std::string SocketAddress::host_to_string() const {
    char text[INET6_ADDRSTRLEN] = "";
    if (is_ipv6()) {
        ::inet_ntop(AF_INET6, &as_ipv6(storage_).sin6_addr, text, sizeof text);
    } else {
        ::inet_ntop(AF_INET, &as_ipv4(storage_).sin_addr, text, sizeof text);
    }
    return text;
}

std::string SocketAddress::to_string() const {
    const std::string host = host_to_string();
    return (is_ipv6() ? '[' + host + ']' : host) + ':' + std::to_string(port());
}

const sockaddr* SocketAddress::native() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage_);
}

socklen_t SocketAddress::native_size() const noexcept {
    return is_ipv6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

bool operator==(const SocketAddress& a, const SocketAddress& b) noexcept {
    if (a.is_ipv6() != b.is_ipv6() || a.port() != b.port()) {
        return false;
    }
    if (!a.is_ipv6()) {
        return as_ipv4(a.storage_).sin_addr.s_addr == as_ipv4(b.storage_).sin_addr.s_addr;
    }
    const sockaddr_in6& left = as_ipv6(a.storage_);
    const sockaddr_in6& right = as_ipv6(b.storage_);
    return std::memcmp(&left.sin6_addr, &right.sin6_addr, sizeof left.sin6_addr) == 0 &&
           left.sin6_scope_id == right.sin6_scope_id;
}

}  // namespace coir::net
