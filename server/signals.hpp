#pragma once

#include <csignal>

namespace coir::server {

/// SIGTERM and SIGINT, waited for instead of handled: so they interrupt nothing, and they also reach a
/// program that is process 1 of its container, where the default action is to ignore them.
class StopSignals final {
public:
    /// Blocks both, and ignores SIGPIPE.
    /// Requires: no other thread has been started, for threads inherit what is blocked.
    StopSignals();

    /// Blocks this thread until one of them comes.
    void wait() const noexcept;
    /// As if one had come from outside. Threads: any.
    void send() const noexcept;
    /// From now on the next one ends the program at once, with `exit_code`.
    /// Errors: throws std::system_error (no thread).
    void exit_on_next(int exit_code) const;

private:
    sigset_t signals_;
};

}  // namespace coir::server
