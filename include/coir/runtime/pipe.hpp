#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir {

/// The end of a pipe, or of a FIFO or a terminal, that one reads from.
///
/// Threads: one reading fiber at a time; cancel() from anywhere while it lives.
class PipeReader final {
public:
    PipeReader() noexcept = default;
    /// Requires: `fd` is non-blocking.
    explicit PipeReader(UniqueFd fd) noexcept : source_(std::move(fd)) {}

    /// Reads at least one byte; 0 when the last writer has gone.
    /// Suspends: until there is something to read, or `deadline`. Errors: timed_out, operation_canceled.
    /// Requires: `into` is not empty.
    [[nodiscard]] Result<std::size_t> read_some(std::span<std::byte> into,
                                                Deadline deadline) noexcept;

    /// Ends the read that waits, and every later one, with operation_canceled.
    void cancel() noexcept { source_.cancel(); }
    [[nodiscard]] bool is_open() const noexcept { return source_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return source_.fd(); }
    /// For select(): on_readable(it.source()).
    [[nodiscard]] IoSource& source() noexcept { return source_; }

private:
    IoSource source_;
};

/// The end that one writes to.
///
/// Threads: one writing fiber at a time; cancel() from anywhere while it lives.
class PipeWriter final {
public:
    PipeWriter() noexcept = default;
    /// Requires: `fd` is non-blocking.
    explicit PipeWriter(UniqueFd fd) noexcept : source_(std::move(fd)) {}

    /// Writes all of `from`. After an error an unknown part of it has been written.
    /// Suspends: while the pipe is full. `deadline` is for the whole write.
    /// Errors:   timed_out, operation_canceled, broken_pipe when the last reader has gone. No SIGPIPE.
    /// Cost:     three system calls, if the pipe takes it at once: two of them see to the signal.
    [[nodiscard]] Result<void> write_all(std::span<const std::byte> from,
                                         Deadline deadline) noexcept;

    /// Ends the write that waits, and every later one, with operation_canceled.
    void cancel() noexcept { source_.cancel(); }
    [[nodiscard]] bool is_open() const noexcept { return source_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return source_.fd(); }
    /// For select(): on_writable(it.source()).
    [[nodiscard]] IoSource& source() noexcept { return source_; }

private:
    IoSource source_;
};

/// Both ends of a new pipe. A reader sees the end of the stream when the writer has been destroyed.
struct Pipe {
    PipeReader reader;
    PipeWriter writer;

    /// Errors: too_many_files_open. Never suspends.
    [[nodiscard]] static Result<Pipe> create() noexcept;
};

}  // namespace coir
