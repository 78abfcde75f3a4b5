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

/// recvfrom() or sendto() without an address. Bytes, or an error below zero. Sanitizers see the C library's own functions only.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
COIR_OPAQUE long transfer_once(long call, int fd, const void* bytes, std::size_t size,
                               int flags) noexcept {
    const ssize_t outcome = call == SYS_sendto ? ::send(fd, bytes, size, flags)
                                               : ::recv(fd, const_cast<void*>(bytes), size, flags);
    return outcome < 0 ? -errno : outcome;
}
#elif defined(__x86_64__) && defined(__LP64__)
inline long transfer_once(long call, int fd, const void* bytes, std::size_t size,
                          long flags) noexcept {
    long outcome = call;
    register long fourth asm("r10") = flags;
    register long fifth asm("r8") = 0;
    register long sixth asm("r9") = 0;
    asm volatile("syscall"
                 : "+a"(outcome)
                 : "D"(long{fd}), "S"(bytes), "d"(size), "r"(fourth), "r"(fifth), "r"(sixth)
                 : "rcx", "r11", "memory");
    return outcome;
}
#else
COIR_OPAQUE long transfer_once(long call, int fd, const void* bytes, std::size_t size,
                               int flags) noexcept {
    const long outcome = ::syscall(call, fd, bytes, size, flags, nullptr, nullptr);
    return outcome < 0 ? -errno : outcome;
}
#endif

inline Result<std::size_t> transfer(long call, int fd, const void* bytes, std::size_t size,
                                    int flags) noexcept {
    for (;;) {
        const long outcome = transfer_once(call, fd, bytes, size, flags);
        if (outcome >= 0) [[likely]] {
            return static_cast<std::size_t>(outcome);
        }
        if (outcome != -EINTR) {
            return std::error_code(static_cast<int>(-outcome), std::system_category());
        }
    }
}

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

// Not the C library's: those are cancellation points, which cost two locked instructions in a program with threads,
// and set errno. Nothing here is ever cancelled by pthread_cancel().
Result<std::size_t> recv(int fd, std::span<std::byte> into, int flags) noexcept {
    return transfer(SYS_recvfrom, fd, into.data(), into.size(), flags);
}

Result<std::size_t> send(int fd, std::span<const std::byte> from, int flags) noexcept {
    return transfer(SYS_sendto, fd, from.data(), from.size(), flags | MSG_NOSIGNAL);
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
