#include "coir/runtime/signals.hpp"

#include <sys/signalfd.h>

#include <csignal>
#include <span>

#include "coir/base/assert.hpp"
#include "coir/base/syscall.hpp"

namespace coir {
namespace {

Result<sigset_t> set_of(std::initializer_list<int> signals) noexcept {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) {
        if (signal == SIGKILL || signal == SIGSTOP || sigaddset(&set, signal) != 0) {
            return std::errc::invalid_argument;
        }
    }
    return set;
}

Result<void> block(const sigset_t& set) noexcept {
    return std::error_code(pthread_sigmask(SIG_BLOCK, &set, nullptr), std::system_category());
}

}  // namespace

Result<void> block_signals(std::initializer_list<int> signals) noexcept {
    const auto set = set_of(signals);
    return set ? block(*set) : Result<void>(set.error());
}

Result<SignalStream> SignalStream::open(std::initializer_list<int> signals) noexcept {
    COIR_TRY(const sigset_t set, set_of(signals));
    UniqueFd fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    if (!fd) {
        return syscall::last_error();
    }
    if (const auto blocked = block(set); !blocked) {
        return blocked.error();
    }
    return SignalStream(std::move(fd));
}

Result<SignalInfo> SignalStream::next(Deadline deadline) noexcept {
    signalfd_siginfo info{};
    COIR_TRY(const std::size_t read, source_.when_readable(deadline, [&] {
        return syscall::read(source_.fd(), std::as_writable_bytes(std::span(&info, 1)));
    }));
    COIR_ASSERT(read == sizeof info);
    return SignalInfo{.number = static_cast<int>(info.ssi_signo),
                      .code = info.ssi_code,
                      .pid = static_cast<pid_t>(info.ssi_pid),
                      .uid = info.ssi_uid,
                      .status = info.ssi_status,
                      .value = info.ssi_int};
}

}  // namespace coir
