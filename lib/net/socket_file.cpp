#include "coir/net/socket_file.hpp"

#include <utility>

#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"

namespace coir::net::detail {
namespace {

/// Removes the file at `address` if it is a socket that refuses connections.
Result<void> remove_stale(int type, const UnixAddress& address) noexcept {
    const char* const path = address.as_name().data();
    const auto found = syscall::identify_file(path);
    if (!found) {
        // Gone meanwhile is as good as removed.
        return found.error() == std::errc::no_such_file_or_directory ? Result<void>()
                                                                     : found.error();
    }
    if (!found->is_socket) {
        return std::errc::address_in_use;
    }
    const auto probe = syscall::socket(AF_UNIX, type, 0);
    if (!probe) {
        return probe.error();
    }
    const auto reached = syscall::connect(probe->get(), address.native(), address.native_size());
    if (reached || reached.error() != std::errc::connection_refused) {
        return std::errc::address_in_use;
    }
    // Somebody may have been faster: what was asked and what is removed must be the same file.
    const auto still = syscall::identify_file(path);
    if (!still || !(*still == *found)) {
        return std::errc::address_in_use;
    }
    return syscall::unlink(path);
}

}  // namespace

SocketFile::SocketFile(SocketFile&& other) noexcept
    : address_(std::exchange(other.address_, UnixAddress())),
      device_(other.device_),
      inode_(other.inode_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
    if (this != &other) {
        remove();
        address_ = std::exchange(other.address_, UnixAddress());
        device_ = other.device_;
        inode_ = other.inode_;
    }
    return *this;
}

Result<SocketFile> SocketFile::bind(int socket, int type, const UnixAddress& address,
                                    const SocketFileOptions& options) noexcept {
    const bool is_path = address.kind() == UnixAddress::Kind::path;
    if (is_path) {
        // Before bind(), which makes the file with them: there is no moment of others.
        if (auto done = syscall::set_permissions(socket, options.permissions); !done) {
            return done.error();
        }
    }
    auto bound = syscall::bind(socket, address.native(), address.native_size());
    if (!bound && is_path && options.replace_stale && bound.error() == std::errc::address_in_use) {
        if (auto removed = remove_stale(type, address); !removed) {
            return removed.error();
        }
        bound = syscall::bind(socket, address.native(), address.native_size());
    }
    if (!bound) {
        return bound.error();
    }
    SocketFile file;
    if (is_path && options.remove_on_close) {
        if (const auto made = syscall::identify_file(address.as_name().data())) {
            file.address_ = address;
            file.device_ = made->device;
            file.inode_ = made->inode;
        }
    }
    return file;
}

void SocketFile::remove() noexcept {
    if (address_.kind() != UnixAddress::Kind::path) {
        return;
    }
    const char* const path = address_.as_name().data();
    const auto found = syscall::identify_file(path);
    if (found && found->device == device_ && found->inode == inode_) {
        (void)syscall::unlink(path);
    }
    address_ = UnixAddress();
}

}  // namespace coir::net::detail
