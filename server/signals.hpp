#pragma once

#include <atomic>

#include "coir/runtime/io_source.hpp"

namespace coir::server {

/// SIGTERM and SIGINT: a fiber waits for the first, the second ends the program at once. So that this works where a
/// request computes for ever and no fiber gets a turn, they are handled; and they reach a program that is process 1 of its
/// container, where the default action is to ignore them.
///
/// One at a time in a process.
class StopSignals final {
public:
    /// Handles both from now on, and ignores SIGPIPE. `exit_code` is that of the second one.
    /// Errors: throws std::system_error.
    explicit StopSignals(int exit_code);
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    /// Suspends: until the first has come.
    void wait() noexcept;
    /// Ends wait() as the first does. Threads: any.
    void end_wait() const noexcept;

private:
    static void handle(int signal) noexcept;

    static std::atomic<const StopSignals*> current;

    IoSource event_;
    const int exit_code_;
    mutable std::atomic<bool> has_come_{false};
};

}  // namespace coir::server
