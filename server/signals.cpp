#include "signals.hpp"

#include <sys/eventfd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <system_error>

#include "coir/base/syscall.hpp"

namespace coir::server {
namespace {

constexpr int kSignals[] = {SIGTERM, SIGINT};

UniqueFd make_event() {
    UniqueFd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!event) {
        throw std::system_error(syscall::last_error(), "eventfd");
    }
    return event;
}

void set_action(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags =
        SA_RESTART |
        SA_ONSTACK;  // not on the stack of the fiber that runs, which may be nearly full
    sigemptyset(&action.sa_mask);
    for (const int signal : kSignals) {
        if (::sigaction(signal, &action, nullptr) != 0) {
            throw std::system_error(syscall::last_error(), "sigaction");
        }
    }
}

}  // namespace

std::atomic<const StopSignals*> StopSignals::current{nullptr};

StopSignals::StopSignals(int exit_code) : event_(make_event()), exit_code_(exit_code) {
    current.store(this, std::memory_order_release);
    set_action(handle);
    std::signal(SIGPIPE, SIG_IGN);
}

StopSignals::~StopSignals() {
    try {
        set_action(SIG_DFL);
    } catch (const std::system_error&) {
        // Cannot be: it has been done before.
    }
    current.store(nullptr, std::memory_order_release);
}

void StopSignals::wait() noexcept {
    // An error is that the fiber has been asked to stop, which is what the signals mean.
    (void)event_.wait_readable(Deadline::never());
}

void StopSignals::end_wait() const noexcept {
    const std::uint64_t one = 1;
    (void)syscall::write(event_.fd(), std::as_bytes(std::span(&one, 1)));
}

void StopSignals::handle(int) noexcept {
    const StopSignals* const signals = current.load(std::memory_order_acquire);
    if (signals == nullptr) {
        return;
    }
    if (signals->has_come_.exchange(true)) {
        std::_Exit(signals->exit_code_);
    }
    signals->end_wait();  // fails only after billions of them, so errno stays as it was
}

}  // namespace coir::server
