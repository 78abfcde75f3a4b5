#include "signals.hpp"

#include <unistd.h>

#include <cstdlib>
#include <system_error>
#include <thread>

namespace coir::server {

StopSignals::StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    const int error = pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    if (error != 0) {
        throw std::system_error(error, std::system_category(), "cannot block signals");
    }
    std::signal(SIGPIPE, SIG_IGN);
}

void StopSignals::wait() const noexcept {
    int received = 0;
    sigwait(&signals_, &received);
}

void StopSignals::send() const noexcept {
    // To the process: raise() would send it to this thread, where nobody waits.
    ::kill(::getpid(), SIGTERM);
}

void StopSignals::exit_on_next(int exit_code) const {
    std::thread([signals = *this, exit_code] {
        signals.wait();
        std::_Exit(exit_code);
    }).detach();
}

}  // namespace coir::server
