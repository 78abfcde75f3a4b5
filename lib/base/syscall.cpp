#include "coir/base/syscall.hpp"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "coir/base/opaque.hpp"
#include "coir/base/retried.hpp"

namespace coir::syscall {
namespace {

/// The C library's send() and recv() are cancellation points: in a program with threads each costs
/// two locked instructions more. Nothing here is ever cancelled by pthread_cancel().
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kDirect = false;  // the sanitizers see the C library's own functions only
#else
constexpr bool kDirect = true;
#endif

Result<void> checked(int outcome) noexcept {
    if (outcome < 0) {
        return last_error();
    }
    return {};
}

}  // namespace

COIR_OPAQUE std::error_code last_error() noexcept {
    return {errno, std::system_category()};
}

bool would_block(std::error_code error) noexcept {
    return error.category() == std::system_category() &&
           (error.value() == EAGAIN || error.value() == EWOULDBLOCK);
}

COIR_OPAQUE Result<std::size_t> recv(int fd, std::span<std::byte> into, int flags) noexcept {
    return retried([&]() -> ssize_t {
        if constexpr (kDirect) {
            return ::syscall(SYS_recvfrom, fd, into.data(), into.size(), flags, nullptr, nullptr);
        }
        return ::recv(fd, into.data(), into.size(), flags);
    });
}

COIR_OPAQUE Result<std::size_t> send(int fd, std::span<const std::byte> from, int flags) noexcept {
    flags |= MSG_NOSIGNAL;
    return retried([&]() -> ssize_t {
        if constexpr (kDirect) {
            return ::syscall(SYS_sendto, fd, from.data(), from.size(), flags, nullptr, 0);
        }
        return ::send(fd, from.data(), from.size(), flags);
    });
}

COIR_OPAQUE Result<std::size_t> sendmsg(int fd, std::span<const iovec> from, int flags) noexcept {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(from.data());  // The kernel only reads it.
    message.msg_iovlen = from.size();
    return retried([&] { return ::sendmsg(fd, &message, flags | MSG_NOSIGNAL); });
}

COIR_OPAQUE Result<std::size_t> read(int fd, std::span<std::byte> into) noexcept {
    return retried([&] { return ::read(fd, into.data(), into.size()); });
}

COIR_OPAQUE Result<std::size_t> write(int fd, std::span<const std::byte> from) noexcept {
    return retried([&] { return ::write(fd, from.data(), from.size()); });
}

COIR_OPAQUE Result<UniqueFd> socket(int family, int type, int protocol) noexcept {
    const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        return last_error();
    }
    return UniqueFd(fd);
}

COIR_OPAQUE Result<UniqueFd> accept(int fd, sockaddr_storage& peer, socklen_t& length) noexcept {
    for (;;) {
        length = sizeof peer;
        const int accepted = ::accept4(fd, reinterpret_cast<sockaddr*>(&peer), &length,
                                       SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            return UniqueFd(accepted);
        }
        if (errno != EINTR) {
            return last_error();
        }
    }
}

COIR_OPAQUE Result<void> bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    return checked(::bind(fd, address, length));
}

COIR_OPAQUE Result<void> listen(int fd, int backlog) noexcept {
    return checked(::listen(fd, backlog));
}

COIR_OPAQUE Result<void> connect(int fd, const sockaddr* address, socklen_t length) noexcept {
    return checked(::connect(fd, address, length));
}

COIR_OPAQUE Result<void> shutdown(int fd, int how) noexcept {
    return checked(::shutdown(fd, how));
}

COIR_OPAQUE Result<void> set_option(int fd, int level, int name, int value) noexcept {
    return checked(::setsockopt(fd, level, name, &value, sizeof value));
}

COIR_OPAQUE Result<void> set_linger(int fd, bool on, int seconds) noexcept {
    const linger value{on ? 1 : 0, seconds};
    return checked(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value));
}

COIR_OPAQUE Result<int> get_option(int fd, int level, int name) noexcept {
    int value = 0;
    socklen_t length = sizeof value;
    if (::getsockopt(fd, level, name, &value, &length) < 0) {
        return last_error();
    }
    return value;
}

COIR_OPAQUE Result<std::size_t> unconfirmed_bytes(int fd) noexcept {
    // The kernel's count stays what it was when a connection has been reset.
    tcp_info info{};
    socklen_t length = sizeof info;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) {
        return last_error();
    }
    if (info.tcpi_state == TCP_CLOSE) {
        return std::errc::not_connected;
    }
    int bytes = 0;
    if (::ioctl(fd, SIOCOUTQ, &bytes) < 0) {
        return last_error();
    }
    return static_cast<std::size_t>(bytes);
}

COIR_OPAQUE Result<void> local_address(int fd, sockaddr_storage& into, socklen_t& length) noexcept {
    length = sizeof into;
    return checked(::getsockname(fd, reinterpret_cast<sockaddr*>(&into), &length));
}

COIR_OPAQUE Result<void> peer_address(int fd, sockaddr_storage& into, socklen_t& length) noexcept {
    length = sizeof into;
    return checked(::getpeername(fd, reinterpret_cast<sockaddr*>(&into), &length));
}

}  // namespace coir::syscall
