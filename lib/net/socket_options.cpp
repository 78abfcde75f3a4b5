#include "net/socket_options.hpp"

#include <netinet/in.h>

#include "coir/base/syscall.hpp"

namespace coir::net::detail {
namespace {

struct Option {
    int level;
    int name;
};

Result<Option> ttl_option(int fd) noexcept {
    COIR_TRY(const int family, syscall::get_option(fd, SOL_SOCKET, SO_DOMAIN));
    return family == AF_INET6 ? Option{IPPROTO_IPV6, IPV6_UNICAST_HOPS}
                              : Option{IPPROTO_IP, IP_TTL};
}

}  // namespace

Result<void> set_ttl(int fd, int hops) noexcept {
    const auto option = ttl_option(fd);
    return option ? syscall::set_option(fd, option->level, option->name, hops) : option.error();
}

Result<int> ttl(int fd) noexcept {
    COIR_TRY(const Option option, ttl_option(fd));
    return syscall::get_option(fd, option.level, option.name);
}

std::error_code take_socket_error(int fd) noexcept {
    const auto error = syscall::get_option(fd, SOL_SOCKET, SO_ERROR);
    if (!error) {
        return error.error();
    }
    return *error == 0 ? std::error_code{} : std::error_code(*error, std::system_category());
}

Result<SocketAddress> local_address(int fd) noexcept {
    sockaddr_storage address{};
    socklen_t length = 0;
    if (auto found = syscall::local_address(fd, address, length); !found) {
        return found.error();
    }
    return SocketAddress::from_native(address);
}

Result<SocketAddress> peer_address(int fd) noexcept {
    sockaddr_storage address{};
    socklen_t length = 0;
    if (auto found = syscall::peer_address(fd, address, length); !found) {
        return found.error();
    }
    return SocketAddress::from_native(address);
}

}  // namespace coir::net::detail
