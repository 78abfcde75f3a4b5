#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "coir/base/result.hpp"

namespace coir::net {

/// An IPv4 or IPv6 address and a port.
class SocketAddress final {
public:
    /// 0.0.0.0, port 0.
    SocketAddress() noexcept;

    /// `host` is a literal address, "127.0.0.1" or "::1" (brackets are allowed, RFC 3986), never a
    /// name. Errors: malformed_address.
    [[nodiscard]] static Result<SocketAddress> parse(std::string_view host,
                                                     std::uint16_t port) noexcept;
    /// "127.0.0.1:8080" or "[::1]:8080". Errors: malformed_address.
    [[nodiscard]] static Result<SocketAddress> parse(std::string_view host_and_port) noexcept;
    [[nodiscard]] static SocketAddress from_native(const sockaddr_storage& address) noexcept;

    [[nodiscard]] static SocketAddress any(std::uint16_t port) noexcept;
    [[nodiscard]] static SocketAddress loopback(std::uint16_t port) noexcept;

    [[nodiscard]] std::uint16_t port() const noexcept;
    [[nodiscard]] SocketAddress with_port(std::uint16_t port) const noexcept;
    [[nodiscard]] bool is_ipv6() const noexcept;
    [[nodiscard]] int family() const noexcept { return storage_.ss_family; }
    /// "127.0.0.1:8080", "[::1]:8080".
    [[nodiscard]] std::string to_string() const;
    /// "127.0.0.1", "::1".
    [[nodiscard]] std::string host_to_string() const;

    [[nodiscard]] const sockaddr* native() const noexcept;
    [[nodiscard]] socklen_t native_size() const noexcept;

    friend bool operator==(const SocketAddress& a, const SocketAddress& b) noexcept;

private:
    friend class UdpSocket;  // has the kernel write into a whole batch of them

    sockaddr_storage storage_;
};

}  // namespace coir::net
