#pragma once

#include "coir/runtime/signals.hpp"

namespace coir::server {

/// SIGTERM and SIGINT, waited for instead of handled: so they interrupt nothing, and they also reach a
/// program that is process 1 of its container, where the default action is to ignore them.
///
/// A fiber waits. Where a single worker never gives a fiber its turn again, only SIGQUIT and SIGKILL help.
class StopSignals final {
public:
    /// Blocks both, and ignores SIGPIPE.
    /// Requires: no other thread has been started, for threads inherit what is blocked.
    /// Errors: throws std::system_error.
    StopSignals();

    /// Suspends: until one of them comes, or end_wait(). Errors: of the descriptor that they come by.
    [[nodiscard]] Result<void> wait() noexcept;
    /// Ends wait(), now or later. Threads: any.
    void end_wait() noexcept { stream_.cancel(); }
    /// From now on the next one ends the program at once, with `exit_code`. Costs a thread.
    /// Errors: throws std::system_error (no thread).
    static void exit_on_next(int exit_code);

private:
    SignalStream stream_;
};

}  // namespace coir::server
