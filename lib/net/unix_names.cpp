#include "net/unix_names.hpp"

#include "coir/base/syscall.hpp"

namespace coir::net::detail {

Result<UnixAddress> local_unix_address(int fd) noexcept {
    sockaddr_storage address{};
    socklen_t size = 0;
    if (auto found = syscall::local_address(fd, address, size); !found) {
        return found.error();
    }
    return UnixAddress::from_native(address, size);
}

Result<UnixAddress> peer_unix_address(int fd) noexcept {
    sockaddr_storage address{};
    socklen_t size = 0;
    if (auto found = syscall::peer_address(fd, address, size); !found) {
        return found.error();
    }
    return UnixAddress::from_native(address, size);
}

}  // namespace coir::net::detail
