#include "coir/base/socket_calls.hpp"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "coir/base/opaque.hpp"
#include "coir/base/retried.hpp"
#include "coir/base/syscall.hpp"

namespace coir::syscall {
namespace {

bool polls_for(int fd, short events) noexcept {
    pollfd entry{fd, events, 0};
    return ::poll(&entry, 1, 0) > 0;
}

Result<void> checked(int outcome) noexcept {
    if (outcome < 0) {
        return last_error();
    }
    return {};
}

/// Keeps a SIGPIPE that a call on this thread raises from being delivered, whatever the program does
/// with that signal.
class NoSigpipe final {
public:
    NoSigpipe() noexcept {
        ::sigemptyset(&sigpipe_);
        ::sigaddset(&sigpipe_, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
        if (::sigismember(&before_, SIGPIPE) == 1) {
            sigset_t pending;
            ::sigemptyset(&pending);
            ::sigpending(&pending);
            was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
        }
    }
    ~NoSigpipe() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    NoSigpipe(const NoSigpipe&) = delete;
    NoSigpipe& operator=(const NoSigpipe&) = delete;

    /// After a call that may have raised it.
    void take() noexcept {
        const timespec at_once{};
        while (!was_pending_ && ::sigtimedwait(&sigpipe_, nullptr, &at_once) < 0 &&
               last_error() == std::errc::interrupted) {
        }
    }

private:
    sigset_t sigpipe_;
    sigset_t before_;
    bool was_pending_ = false;
};

}  // namespace

bool is_readable(int fd) noexcept {
    return polls_for(fd, POLLIN | POLLRDHUP);
}

bool is_writable(int fd) noexcept {
    return polls_for(fd, POLLOUT);
}

COIR_OPAQUE Result<std::size_t> receive_message(int fd, msghdr& message, int flags) noexcept {
    return retried([&] { return ::recvmsg(fd, &message, flags); });
}

COIR_OPAQUE Result<std::size_t> send_message(int fd, const msghdr& message, int flags) noexcept {
    return retried([&] { return ::sendmsg(fd, &message, flags | MSG_NOSIGNAL); });
}

COIR_OPAQUE Result<std::size_t> receive_messages(int fd, std::span<mmsghdr> messages,
                                                 int flags) noexcept {
    return retried([&] {
        return ::recvmmsg(fd, messages.data(), static_cast<unsigned>(messages.size()), flags,
                          nullptr);
    });
}

COIR_OPAQUE Result<std::size_t> send_messages(int fd, std::span<mmsghdr> messages,
                                              int flags) noexcept {
    return retried([&] {
        return ::sendmmsg(fd, messages.data(), static_cast<unsigned>(messages.size()),
                          flags | MSG_NOSIGNAL);
    });
}

COIR_OPAQUE Result<std::size_t> send_file(int socket, int file, std::uint64_t offset,
                                          std::size_t count) noexcept {
    NoSigpipe guard;
    auto sent = retried([&] {
        auto at = static_cast<off_t>(offset);
        return ::sendfile(socket, file, &at, count);
    });
    // A call that sent a part and then met the end raises it too, and does not say so.
    if (sent ? *sent != count : sent.error() == std::errc::broken_pipe) {
        guard.take();
    }
    return sent;
}

COIR_OPAQUE Result<std::size_t> write_without_sigpipe(int fd,
                                                      std::span<const std::byte> from) noexcept {
    NoSigpipe guard;
    auto written = write(fd, from);
    if (!written && written.error() == std::errc::broken_pipe) {
        guard.take();
    }
    return written;
}

COIR_OPAQUE Result<std::pair<UniqueFd, UniqueFd>> socket_pair(int type) noexcept {
    int ends[2];
    if (::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
        return last_error();
    }
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

COIR_OPAQUE Result<void> set_option(int fd, int level, int name,
                                    std::span<const std::byte> value) noexcept {
    return checked(
        ::setsockopt(fd, level, name, value.data(), static_cast<socklen_t>(value.size())));
}

COIR_OPAQUE Result<void> get_option(int fd, int level, int name,
                                    std::span<std::byte> into) noexcept {
    auto length = static_cast<socklen_t>(into.size());
    if (::getsockopt(fd, level, name, into.data(), &length) < 0) {
        return last_error();
    }
    if (length != into.size()) {
        return std::errc::invalid_argument;
    }
    return {};
}

COIR_OPAQUE Result<FileIdentity> identify_file(const char* path) noexcept {
    struct stat found;
    if (::lstat(path, &found) < 0) {
        return last_error();
    }
    return FileIdentity{found.st_dev, found.st_ino, S_ISSOCK(found.st_mode)};
}

COIR_OPAQUE Result<void> unlink(const char* path) noexcept {
    return checked(::unlink(path));
}

COIR_OPAQUE Result<void> set_permissions(int fd, mode_t permissions) noexcept {
    return checked(::fchmod(fd, permissions));
}

}  // namespace coir::syscall
