#pragma once

#include <sys/types.h>

#include <cstddef>

namespace coir::net {

/// The kernel passes at most so many descriptors with one message (SCM_MAX_FD).
inline constexpr std::size_t kMaxPassedFds = 253;

/// A message with descriptors that has come over a Unix socket.
struct ReceivedFds {
    std::size_t size = 0;        ///< Bytes in the caller's buffer.
    std::size_t whole_size = 0;  ///< Bytes of the datagram; on a stream the same as `size`.
    std::size_t fd_count = 0;    ///< Descriptors in the caller's array.
    /// More descriptors came than there was room for, or than this process may open. They are closed.
    bool fds_lost = false;
};

/// Who opened the other end, as the kernel knows it, when it connected or listened.
struct PeerCredentials {
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;
};

}  // namespace coir::net
