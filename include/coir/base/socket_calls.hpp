#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"

/// More of coir/base/syscall.hpp: messages with addresses and descriptors, socket files, sendfile, pipes.
namespace coir::syscall {

/// What recvmsg reports beside the bytes. `message` keeps what the kernel wrote into it.
[[nodiscard]] Result<std::size_t> receive_message(int fd, msghdr& message, int flags) noexcept;
/// With MSG_NOSIGNAL added.
[[nodiscard]] Result<std::size_t> send_message(int fd, const msghdr& message, int flags) noexcept;
/// How many messages have been received or sent, at least one.
[[nodiscard]] Result<std::size_t> receive_messages(int fd, std::span<mmsghdr> messages,
                                                   int flags) noexcept;
[[nodiscard]] Result<std::size_t> send_messages(int fd, std::span<mmsghdr> messages,
                                                int flags) noexcept;

/// Whether a read, or a write, would not block now: it may also fail or find the end.
[[nodiscard]] bool is_readable(int fd) noexcept;
[[nodiscard]] bool is_writable(int fd) noexcept;

/// Bytes sent from `file` at `offset`; 0 at its end. Raises no SIGPIPE, at the price of two or
/// three calls more: sendfile(2) has no flag for that.
[[nodiscard]] Result<std::size_t> send_file(int socket, int file, std::uint64_t offset,
                                            std::size_t count) noexcept;

/// Bytes written. Raises no SIGPIPE, at the same price: what is no socket has no MSG_NOSIGNAL.
[[nodiscard]] Result<std::size_t> write_without_sigpipe(int fd,
                                                        std::span<const std::byte> from) noexcept;

/// Two connected, non-blocking, close-on-exec Unix sockets.
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> socket_pair(int type) noexcept;

/// Options whose value is not an int.
[[nodiscard]] Result<void> set_option(int fd, int level, int name,
                                      std::span<const std::byte> value) noexcept;
/// Requires: the option has exactly the size of `into`. Errors: invalid_argument if it has not.
[[nodiscard]] Result<void> get_option(int fd, int level, int name,
                                      std::span<std::byte> into) noexcept;

/// Which file a path names.
struct FileIdentity {
    dev_t device = 0;
    ino_t inode = 0;
    bool is_socket = false;

    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// Follows no symbolic link. Requires: `path` ends with a NUL byte.
[[nodiscard]] Result<FileIdentity> identify_file(const char* path) noexcept;
/// Requires: `path` ends with a NUL byte.
[[nodiscard]] Result<void> unlink(const char* path) noexcept;
/// The permissions with which bind() makes a Unix socket's file, before the umask has cut them.
[[nodiscard]] Result<void> set_permissions(int fd, mode_t permissions) noexcept;

}  // namespace coir::syscall
