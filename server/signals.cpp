#include "signals.hpp"

#include <csignal>
#include <cstdlib>
#include <system_error>
#include <thread>

namespace coir::server {

StopSignals::StopSignals() : stream_(SignalStream::open({SIGTERM, SIGINT}).value()) {
    std::signal(SIGPIPE, SIG_IGN);
}

Result<void> StopSignals::wait() noexcept {
    const auto signal = stream_.next(Deadline::never());
    if (!signal && signal.error() != std::errc::operation_canceled) {
        return signal.error();
    }
    return {};
}

void StopSignals::exit_on_next(int exit_code) {
    std::thread([exit_code] {
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        int received = 0;
        sigwait(&signals, &received);
        std::_Exit(exit_code);
    }).detach();
}

}  // namespace coir::server
