#include "coir/net/tcp_listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "coir/base/syscall.hpp"
#include "net/accept.hpp"
#include "net/socket_options.hpp"

namespace coir::net {
namespace {

Result<UniqueFd> bound_socket(const SocketAddress& address, const ListenOptions& options) noexcept {
    COIR_TRY(UniqueFd socket, syscall::socket(address.family(), SOCK_STREAM, 0));
    const int fd = socket.get();
    const auto set = [fd](int level, int name) { return syscall::set_option(fd, level, name, 1); };
    if (auto done = set(SOL_SOCKET, SO_REUSEADDR); !done) {
        return done.error();
    }
    if (options.share_port) {
        if (auto done = set(SOL_SOCKET, SO_REUSEPORT); !done) {
            return done.error();
        }
    }
    if (options.only_ipv6 && address.is_ipv6()) {
        if (auto done = set(IPPROTO_IPV6, IPV6_V6ONLY); !done) {
            return done.error();
        }
    }
    if (options.no_delay) {
        if (auto done = set(IPPROTO_TCP, TCP_NODELAY); !done) {
            return done.error();
        }
    }
    if (auto done = syscall::bind(fd, address.native(), address.native_size()); !done) {
        return done.error();
    }
    return socket;
}

}  // namespace

Result<TcpListener> TcpListener::bind(const SocketAddress& address,
                                      const ListenOptions& options) noexcept {
    COIR_TRY(UniqueFd socket, bound_socket(address, options));
    if (auto done = syscall::listen(socket.get(), options.backlog); !done) {
        return done.error();
    }
    return TcpListener(std::move(socket));
}

Result<SocketAddress> TcpListener::find_free(const SocketAddress& address) noexcept {
    COIR_TRY(const UniqueFd socket, bound_socket(address, {}));
    return detail::local_address(socket.get());
}

Result<TcpStream> TcpListener::try_accept() noexcept {
    sockaddr_storage peer;
    socklen_t length = 0;
    COIR_TRY(UniqueFd socket, detail::try_accept(source_, peer, length));
    return TcpStream(std::move(socket));
}

Result<TcpListener::Accepted> TcpListener::try_accept_from() noexcept {
    sockaddr_storage peer;
    socklen_t length = 0;
    COIR_TRY(UniqueFd socket, detail::try_accept(source_, peer, length));
    return Accepted{TcpStream(std::move(socket)), SocketAddress::from_native(peer)};
}

Result<TcpStream> TcpListener::accept(Deadline deadline) noexcept {
    sockaddr_storage peer;
    socklen_t length = 0;
    COIR_TRY(UniqueFd socket, detail::accept(source_, peer, length, deadline));
    return TcpStream(std::move(socket));
}

Result<TcpListener::Accepted> TcpListener::accept_from(Deadline deadline) noexcept {
    sockaddr_storage peer;
    socklen_t length = 0;
    COIR_TRY(UniqueFd socket, detail::accept(source_, peer, length, deadline));
    return Accepted{TcpStream(std::move(socket)), SocketAddress::from_native(peer)};
}

void TcpListener::close() noexcept {
    if (source_.is_open()) {
        source_.close();  // a listening socket that is shut down listens no more
    }
}

Result<SocketAddress> TcpListener::local_address() const noexcept {
    return detail::local_address(source_.fd());
}

Result<void> TcpListener::set_ttl(int hops) noexcept {
    return detail::set_ttl(source_.fd(), hops);
}

Result<int> TcpListener::ttl() const noexcept {
    return detail::ttl(source_.fd());
}

std::error_code TcpListener::take_error() noexcept {
    return detail::take_socket_error(source_.fd());
}

}  // namespace coir::net
