#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>

#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"

/// System calls that retry on EINTR and return their error by value.
///
/// This is the only reader of errno. Who reads it is a real call into another translation unit: the compiler
/// may keep errno's address across a suspension, and a fiber may then be on another thread.
namespace coir::syscall {

/// Bytes read, 0 at end of stream. Errors: would_block (as resource_unavailable_try_again), others.
[[nodiscard]] Result<std::size_t> recv(int fd, std::span<std::byte> into, int flags) noexcept;
/// Bytes written, with MSG_NOSIGNAL added.
[[nodiscard]] Result<std::size_t> send(int fd, std::span<const std::byte> from, int flags) noexcept;
[[nodiscard]] Result<std::size_t> sendmsg(int fd, std::span<const iovec> from, int flags) noexcept;
[[nodiscard]] Result<std::size_t> read(int fd, std::span<std::byte> into) noexcept;
[[nodiscard]] Result<std::size_t> write(int fd, std::span<const std::byte> from) noexcept;

/// A non-blocking, close-on-exec socket.
[[nodiscard]] Result<UniqueFd> socket(int family, int type, int protocol) noexcept;
[[nodiscard]] Result<UniqueFd> accept(int fd, sockaddr_storage& peer, socklen_t& length) noexcept;
[[nodiscard]] Result<void> bind(int fd, const sockaddr* address, socklen_t length) noexcept;
[[nodiscard]] Result<void> listen(int fd, int backlog) noexcept;
/// Never retried: a connect that was interrupted goes on by itself (POSIX).
[[nodiscard]] Result<void> connect(int fd, const sockaddr* address, socklen_t length) noexcept;
[[nodiscard]] Result<void> shutdown(int fd, int how) noexcept;
[[nodiscard]] Result<void> set_option(int fd, int level, int name, int value) noexcept;
[[nodiscard]] Result<void> set_linger(int fd, bool on, int seconds) noexcept;
[[nodiscard]] Result<int> get_option(int fd, int level, int name) noexcept;
/// Of a TCP socket: what has been sent and the peer's kernel has not confirmed; not_connected when it
/// never will.
[[nodiscard]] Result<std::size_t> unconfirmed_bytes(int fd) noexcept;
[[nodiscard]] Result<void> local_address(int fd, sockaddr_storage& into,
                                         socklen_t& length) noexcept;
[[nodiscard]] Result<void> peer_address(int fd, sockaddr_storage& into, socklen_t& length) noexcept;

/// The error that the last failed call of this thread left. For calls that no wrapper here makes.
[[nodiscard]] std::error_code last_error() noexcept;

/// True where a non-blocking call had nothing to do yet (EAGAIN, EWOULDBLOCK).
[[nodiscard]] bool would_block(std::error_code error) noexcept;

}  // namespace coir::syscall
