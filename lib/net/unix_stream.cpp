#include "coir/net/unix_stream.hpp"

#include "coir/base/assert.hpp"
#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "net/backoff.hpp"
#include "net/fd_messages.hpp"
#include "net/unix_names.hpp"

namespace coir::net {

Result<UnixStream> UnixStream::connect(const UnixAddress& address, Deadline deadline) noexcept {
    if (coir::detail::must_stop()) {
        return std::errc::operation_canceled;
    }
    COIR_TRY(UniqueFd socket, syscall::socket(AF_UNIX, SOCK_STREAM, 0));
    detail::Backoff backoff;
    for (;;) {
        const auto begun = syscall::connect(socket.get(), address.native(), address.native_size());
        if (begun) {
            return UnixStream(std::move(socket));
        }
        // Unlike TCP's, this connect does not go on in the background: the attempt has failed.
        if (!syscall::would_block(begun.error())) {
            return begun.error();
        }
        if (auto waited = backoff.pause(deadline); !waited) {
            return waited.error();
        }
    }
}

Result<std::pair<UnixStream, UnixStream>> UnixStream::pair() noexcept {
    COIR_TRY(auto ends, syscall::socket_pair(SOCK_STREAM));
    return std::pair(UnixStream(std::move(ends.first)), UnixStream(std::move(ends.second)));
}

Halves<UnixStream> UnixStream::split() && {
    COIR_ASSERT(is_open());
    return detail::split(std::move(*this));
}

Result<std::size_t> UnixStream::send_fds(std::span<const std::byte> bytes, std::span<const int> fds,
                                         Deadline deadline) noexcept {
    COIR_ASSERT(!bytes.empty());
    if (fds.size() > kMaxPassedFds) {
        return std::errc::invalid_argument;
    }
    iovec vector{const_cast<std::byte*>(bytes.data()), bytes.size()};  // the kernel only reads it
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    detail::FdSpace space;
    space.attach(message, fds);
    return source_.when_writable(deadline,
                                 [&] { return syscall::send_message(source_.fd(), message, 0); });
}

Result<ReceivedFds> UnixStream::receive_fds(std::span<std::byte> into, std::span<UniqueFd> fds,
                                            Deadline deadline) noexcept {
    COIR_ASSERT(!into.empty());
    iovec vector{into.data(), into.size()};
    detail::FdSpace space;
    for (;;) {
        if (auto waited = wait_readable(deadline); !waited) {
            return waited.error();
        }
        msghdr message{};
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        space.attach(message, fds.size());
        const auto read = syscall::receive_message(source_.fd(), message, MSG_CMSG_CLOEXEC);
        if (source_.is_canceled()) {
            if (read) {
                (void)detail::take_fds(message, {});  // closes them
            }
            return std::errc::operation_canceled;
        }
        if (read) {
            ReceivedFds received = detail::take_fds(message, fds);
            received.size = received.whole_size = *read;
            return received;
        }
        if (!syscall::would_block(read.error())) {
            return read.error();
        }
        found_nothing();
    }
}

Result<PeerCredentials> UnixStream::peer_credentials() const noexcept {
    return detail::peer_credentials(source_.fd());
}

Result<UnixAddress> UnixStream::local_address() const noexcept {
    return detail::local_unix_address(source_.fd());
}

Result<UnixAddress> UnixStream::peer_address() const noexcept {
    return detail::peer_unix_address(source_.fd());
}

}  // namespace coir::net
