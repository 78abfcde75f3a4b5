#pragma once

#include <sys/types.h>

#include <initializer_list>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir {

/// A signal that has come. See signalfd(2) and sigaction(2).
struct SignalInfo {
    int number = 0;
    int code = 0;   ///< SI_USER, SI_QUEUE, CLD_EXITED, ...
    pid_t pid = 0;  ///< Who sent it, or the child that a SIGCHLD tells of; 0 if the kernel sent it.
    uid_t uid = 0;  ///< Of that process.
    int status = 0;  ///< With SIGCHLD: the exit code or signal.
    int value = 0;   ///< What sigqueue() sent along.
};

/// Blocks signals in the calling thread and in those that it starts from now on, so that they are kept for
/// a SignalStream instead of ending the program.
///
/// Call it at the beginning of main(): a signal goes to any thread that has not blocked it, and the
/// workers of a Runtime that was there before have not. Programs that are started inherit the mask.
/// Errors: invalid_argument for what is no signal, and for SIGKILL and SIGSTOP.
[[nodiscard]] Result<void> block_signals(std::initializer_list<int> signals) noexcept;

/// Signals as a stream that a fiber reads, instead of handlers that interrupt anybody anywhere. Those that
/// are sent to the process: one for a single thread, by raise() or pthread_kill(), can be read there only.
///
///     auto signals = SignalStream::open({SIGTERM, SIGINT}).value();
///     coir::run({}, [&] { signals.next(Deadline::never()).value(); ... });
///
/// Threads: one fiber at a time waits; cancel() from anywhere while it lives.
class SignalStream final {
public:
    SignalStream() noexcept = default;

    /// Blocks these signals as block_signals() does, and for good: they stay blocked when the stream has
    /// gone. What is pending already will be delivered.
    /// Requires: that, or block_signals(), before the threads of a Runtime are started.
    /// Errors:   as block_signals(); too_many_files_open. Never suspends.
    [[nodiscard]] static Result<SignalStream> open(std::initializer_list<int> signals) noexcept;

    /// The next signal. Of several of one kind that come before they are read, the kernel keeps one, unless
    /// they are real-time signals. Where two streams take one signal, either gets it.
    /// Suspends: until one has come, or `deadline`. Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<SignalInfo> next(Deadline deadline) noexcept;

    /// Ends the next() that waits, and every later one, with operation_canceled.
    void cancel() noexcept { source_.cancel(); }
    /// For select(): `on_readable(it.source())`, and then next().
    [[nodiscard]] IoSource& source() noexcept { return source_; }

private:
    explicit SignalStream(UniqueFd fd) noexcept : source_(std::move(fd)) {}

    IoSource source_;
};

}  // namespace coir
