#include "coir/runtime/pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include "coir/base/assert.hpp"
#include "coir/base/opaque.hpp"
#include "coir/base/syscall.hpp"

namespace coir {
namespace {

/// A pipe has no MSG_NOSIGNAL: the signal is held off, and taken if it came.
COIR_OPAQUE Result<std::size_t> write_without_signal(int fd,
                                                     std::span<const std::byte> from) noexcept {
    sigset_t pipe_signal;
    sigset_t blocked;
    sigset_t pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &blocked);
    sigemptyset(&pending);
    if (sigismember(&blocked, SIGPIPE) == 1) {
        sigpending(&pending);  // of somebody who wants to see it later
    }
    const auto written = syscall::write(fd, from);
    if (!written && written.error() == std::errc::broken_pipe &&
        sigismember(&pending, SIGPIPE) == 0) {
        const timespec at_once{};
        sigtimedwait(&pipe_signal, nullptr, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
    return written;
}

}  // namespace

Result<Pipe> Pipe::create() noexcept {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) {
        return syscall::last_error();
    }
    return Pipe{PipeReader(UniqueFd(ends[0])), PipeWriter(UniqueFd(ends[1]))};
}

Result<std::size_t> PipeReader::read_some(std::span<std::byte> into, Deadline deadline) noexcept {
    COIR_ASSERT(!into.empty());
    for (;;) {
        if (source_.must_give_up()) {
            return std::errc::operation_canceled;
        }
        const auto read = syscall::read(source_.fd(), into);
        if (read || !syscall::would_block(read.error())) {
            return read;
        }
        if (const auto waited = source_.wait_readable(deadline); !waited) {
            return waited.error();
        }
    }
}

Result<void> PipeWriter::write_all(std::span<const std::byte> from, Deadline deadline) noexcept {
    while (!from.empty()) {
        if (source_.must_give_up()) {
            return std::errc::operation_canceled;
        }
        const auto written = write_without_signal(source_.fd(), from);
        if (written) {
            from = from.subspan(*written);
        } else if (!syscall::would_block(written.error())) {
            return written.error();
        } else if (const auto waited = source_.wait_writable(deadline); !waited) {
            return waited;
        }
    }
    return {};
}

}  // namespace coir
