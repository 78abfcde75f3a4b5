#include "net/fd_messages.hpp"

#include <algorithm>
#include <cstring>

#include "coir/base/assert.hpp"
#include "coir/base/socket_calls.hpp"

namespace coir::net::detail {

void FdSpace::attach(msghdr& message, std::span<const int> fds) noexcept {
    COIR_ASSERT(fds.size() <= kMaxPassedFds);
    if (fds.empty()) {
        return;
    }
    bytes_ = {};
    message.msg_control = bytes_.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr header{};
    header.cmsg_level = SOL_SOCKET;
    header.cmsg_type = SCM_RIGHTS;
    header.cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(bytes_.data(), &header, sizeof header);
    std::memcpy(bytes_.data() + CMSG_LEN(0), fds.data(), fds.size_bytes());
}

void FdSpace::attach(msghdr& message, std::size_t count) noexcept {
    // CMSG_LEN and not CMSG_SPACE: the kernel would put one more descriptor into the padding.
    message.msg_control = count == 0 ? nullptr : bytes_.data();
    message.msg_controllen =
        count == 0 ? 0 : CMSG_LEN(std::min(count, kMaxPassedFds) * sizeof(int));
}

ReceivedFds take_fds(msghdr& message, std::span<UniqueFd> into) noexcept {
    ReceivedFds received;
    received.fds_lost = (message.msg_flags & MSG_CTRUNC) != 0;
    for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
         control = CMSG_NXTHDR(&message, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i != count; ++i) {
            int number;
            std::memcpy(&number, CMSG_DATA(control) + i * sizeof number, sizeof number);
            UniqueFd fd(number);
            if (received.fd_count != into.size()) {
                into[received.fd_count++] = std::move(fd);
            } else {
                received.fds_lost = true;
            }
        }
    }
    return received;
}

Result<PeerCredentials> peer_credentials(int fd) noexcept {
    ucred value{};
    if (auto got = syscall::get_option(fd, SOL_SOCKET, SO_PEERCRED,
                                       std::as_writable_bytes(std::span(&value, 1)));
        !got) {
        return got.error();
    }
    return PeerCredentials{value.pid, value.uid, value.gid};
}

}  // namespace coir::net::detail
