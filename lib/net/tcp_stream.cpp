#include "coir/net/tcp_stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "coir/base/assert.hpp"
#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "net/socket_options.hpp"

namespace coir::net {

Result<TcpStream> TcpStream::connect(const SocketAddress& address, Deadline deadline) noexcept {
    COIR_TRY(UniqueFd socket, syscall::socket(address.family(), SOCK_STREAM, 0));
    const int fd = socket.get();
    TcpStream stream(std::move(socket));
    const auto begun = syscall::connect(fd, address.native(), address.native_size());
    if (!begun) {
        // EINTR too: the attempt goes on in the background.
        if (begun.error() != std::errc::operation_in_progress &&
            begun.error() != std::errc::interrupted) {
            return begun.error();
        }
        // An edge may tell of something else than the end of the attempt: ask the socket.
        for (;;) {
            if (auto waited = stream.source_.wait_writable(deadline); !waited) {
                return waited.error();
            }
            if (const auto error = stream.take_error()) {
                return error;
            }
            if (const auto peer = stream.peer_address(); peer) {
                break;
            } else if (peer.error() != std::errc::not_connected) {
                return peer.error();
            }
        }
    }
    return stream;
}

Halves<TcpStream> TcpStream::split() && {
    COIR_ASSERT(is_open());
    return detail::split(std::move(*this));
}

void TcpStream::abort() noexcept {
    if (source_.is_open()) {
        (void)set_reset_on_close();
        source_.cancel();  // without a shutdown, which would say that all has been sent
    }
}

Result<void> TcpStream::set_no_delay(bool on) noexcept {
    return syscall::set_option(source_.fd(), IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}

Result<bool> TcpStream::no_delay() const noexcept {
    COIR_TRY(const int on, syscall::get_option(source_.fd(), IPPROTO_TCP, TCP_NODELAY));
    return on != 0;
}

Result<void> TcpStream::set_quick_ack(bool on) noexcept {
    return syscall::set_option(source_.fd(), IPPROTO_TCP, TCP_QUICKACK, on ? 1 : 0);
}

Result<void> TcpStream::set_keep_alive(const std::optional<KeepAlive>& how) noexcept {
    if (!how) {
        return syscall::set_option(source_.fd(), SOL_SOCKET, SO_KEEPALIVE, 0);
    }
    // The kernel's limits, from include/net/tcp.h; what does not fit an int must not become one.
    constexpr std::chrono::seconds kLeast{1};
    constexpr std::chrono::seconds kMost{32767};
    if (how->idle < kLeast || how->idle > kMost || how->interval < kLeast ||
        how->interval > kMost) {
        return std::errc::invalid_argument;
    }
    const auto set = [this](int name, int value) {
        return syscall::set_option(source_.fd(), IPPROTO_TCP, name, value);
    };
    if (auto done = set(TCP_KEEPIDLE, static_cast<int>(how->idle.count())); !done) {
        return done;
    }
    if (auto done = set(TCP_KEEPINTVL, static_cast<int>(how->interval.count())); !done) {
        return done;
    }
    if (auto done = set(TCP_KEEPCNT, how->count); !done) {
        return done;
    }
    return syscall::set_option(source_.fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
}

Result<std::optional<KeepAlive>> TcpStream::keep_alive() const noexcept {
    const int fd = source_.fd();
    COIR_TRY(const int on, syscall::get_option(fd, SOL_SOCKET, SO_KEEPALIVE));
    if (on == 0) {
        return std::optional<KeepAlive>();
    }
    COIR_TRY(const int idle, syscall::get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
    COIR_TRY(const int interval, syscall::get_option(fd, IPPROTO_TCP, TCP_KEEPINTVL));
    COIR_TRY(const int count, syscall::get_option(fd, IPPROTO_TCP, TCP_KEEPCNT));
    return std::optional(
        KeepAlive{std::chrono::seconds(idle), std::chrono::seconds(interval), count});
}

Result<void> TcpStream::set_ttl(int hops) noexcept {
    return detail::set_ttl(source_.fd(), hops);
}

Result<int> TcpStream::ttl() const noexcept {
    return detail::ttl(source_.fd());
}

Result<void> TcpStream::set_reset_on_close(bool on) noexcept {
    return syscall::set_linger(source_.fd(), on, 0);
}

Result<bool> TcpStream::reset_on_close() const noexcept {
    linger value{};
    if (auto got = syscall::get_option(source_.fd(), SOL_SOCKET, SO_LINGER,
                                       std::as_writable_bytes(std::span(&value, 1)));
        !got) {
        return got.error();
    }
    return value.l_onoff != 0 && value.l_linger == 0;
}

Result<std::size_t> TcpStream::unconfirmed_bytes() const noexcept {
    return syscall::unconfirmed_bytes(source_.fd());
}

Result<SocketAddress> TcpStream::local_address() const noexcept {
    return detail::local_address(source_.fd());
}

Result<SocketAddress> TcpStream::peer_address() const noexcept {
    return detail::peer_address(source_.fd());
}

}  // namespace coir::net
