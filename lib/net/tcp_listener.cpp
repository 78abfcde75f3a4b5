#include "coir/net/tcp_listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>

#include "coir/base/syscall.hpp"

namespace coir::net {
namespace {

/// Errors that concern one connection, which died in the queue (accept(2), "Error handling").
bool is_about_one_connection(std::error_code error) noexcept {
    return error == std::errc::connection_aborted || error == std::errc::protocol_error ||
           error == std::errc::network_down || error == std::errc::no_protocol_option ||
           error == std::errc::host_unreachable || error == std::errc::network_unreachable ||
           error == std::errc::operation_not_supported ||
           (error.category() == std::system_category() &&
            (error.value() == EHOSTDOWN || error.value() == ENONET));
}

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

Result<SocketAddress> address_of(int fd) noexcept {
    sockaddr_storage address{};
    socklen_t length = 0;
    if (auto found = syscall::local_address(fd, address, length); !found) {
        return found.error();
    }
    return SocketAddress::from_native(address);
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
    return address_of(socket.get());
}

Result<TcpStream> TcpListener::try_accept() noexcept {
    for (;;) {
        sockaddr_storage peer;
        socklen_t length = 0;
        auto socket = syscall::accept(source_.fd(), peer, length);
        if (socket) {
            return TcpStream(*std::move(socket));
        }
        if (!is_about_one_connection(socket.error())) {
            return socket.error();
        }
    }
}

Result<TcpStream> TcpListener::accept(Deadline deadline) noexcept {
    for (;;) {
        if (source_.is_canceled()) {
            return std::errc::operation_canceled;
        }
        auto stream = try_accept();
        if (stream) {
            return stream;
        }
        if (!syscall::would_block(stream.error())) {
            return source_.is_canceled() ? std::make_error_code(std::errc::operation_canceled)
                                         : stream.error();
        }
        if (auto waited = source_.wait_readable(deadline); !waited) {
            return waited.error();
        }
    }
}

void TcpListener::close() noexcept {
    if (source_.is_open()) {
        source_.close();  // a listening socket that is shut down listens no more
    }
}

Result<SocketAddress> TcpListener::local_address() const noexcept {
    return address_of(source_.fd());
}

}  // namespace coir::net
