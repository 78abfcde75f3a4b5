#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <span>

#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/net/passed_fds.hpp"

namespace coir::net::detail {

/// Room for the control message that carries descriptors (SCM_RIGHTS).
class FdSpace final {
public:
    /// Has `message` send `fds`. Requires: at most kMaxPassedFds.
    void attach(msghdr& message, std::span<const int> fds) noexcept;
    /// Has `message` receive up to `count` of them.
    void attach(msghdr& message, std::size_t count) noexcept;

private:
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kMaxPassedFds * sizeof(int))> bytes_;
};

/// Takes the descriptors out of a message that has been received. What does not fit `into` is closed
/// and counts as lost.
[[nodiscard]] ReceivedFds take_fds(msghdr& message, std::span<UniqueFd> into) noexcept;

[[nodiscard]] Result<PeerCredentials> peer_credentials(int fd) noexcept;

}  // namespace coir::net::detail
