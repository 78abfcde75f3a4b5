#pragma once

#include <sys/types.h>

#include "coir/base/result.hpp"
#include "coir/net/unix_address.hpp"

namespace coir::net {

/// The file that bind() makes where a Unix socket's address is a path. Abstract names have none.
struct SocketFileOptions {
    /// Removes the file of a socket that nobody listens on any more, such as a program leaves that was
    /// killed. Never removes anything else: a file that is no socket, or one that takes connections,
    /// is address_in_use. It asks by connecting. Two programs that start at the same moment on the
    /// same path may both succeed, and the later one then has the name: where that can happen, hold a
    /// lock.
    bool replace_stale = false;
    /// The destructor removes the file, unless the path names another one by then.
    bool remove_on_close = true;
    /// Cut by the umask. Who may not write to the file may not connect.
    mode_t permissions = 0777;
};

namespace detail {

/// The file of a bound Unix socket, which goes with this object. To be destroyed before the socket:
/// as long as that lives its inode's number cannot be given to another file.
class SocketFile final {
public:
    SocketFile() noexcept = default;
    SocketFile(SocketFile&& other) noexcept;
    SocketFile& operator=(SocketFile&& other) noexcept;
    ~SocketFile() { remove(); }

    /// Binds `socket`, of the given type, to `address`. Never suspends.
    [[nodiscard]] static Result<SocketFile> bind(int socket, int type, const UnixAddress& address,
                                                 const SocketFileOptions& options) noexcept;

private:
    void remove() noexcept;

    UnixAddress address_;  // unnamed: there is nothing to remove
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace detail

}  // namespace coir::net
