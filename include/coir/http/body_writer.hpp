#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"

namespace coir {
class File;
}

namespace coir::http {

class BodySink;

/// The body of one response, written while it is being made.
///
/// The first write sends the head and decides the framing: exact if the response has a
/// content_length(), else chunked, and for an HTTP/1.0 client until the connection closes. Small
/// writes are collected in the connection's buffer; flush() sends what has been collected. The end
/// of the handler ends the body. If the handler throws, or has written fewer bytes than promised, the
/// client gets a 500 instead, or the connection ends in the middle if a part has been sent.
class BodyWriter final {
public:
    explicit BodyWriter(BodySink& sink) noexcept : sink_(&sink) {}

    /// Sends `data`, or keeps it for the next flush while the buffer has room.
    ///
    /// Suspends: while the buffer and the socket are full, until `deadline` or the server's
    ///           write_timeout.
    /// Errors:   timed_out, broken_pipe, connection_reset, operation_canceled: the connection is closed
    ///           after the handler and later writes fail at once. body_length_mismatch: more than
    ///           content_length(), nothing of `data` is sent.
    /// Cost:     data over 16 KiB is not copied.
    [[nodiscard]] Result<void> write(std::span<const std::byte> data, Deadline deadline);
    [[nodiscard]] Result<void> write(std::string_view text, Deadline deadline);

    /// Sends what has been collected, and then `bytes` of `file` from `offset` on, which the kernel takes
    /// without a copy in this process (sendfile). In a chunked body they are one chunk.
    ///
    /// Suspends: as write(). A file that is not in memory holds up the worker while the disk reads.
    /// Errors:   as write(); unexpected_eof where the file ends before, invalid_argument if it is a
    ///           directory or a pipe, io_error: as the head has been sent, the connection ends in the
    ///           middle after the handler.
    [[nodiscard]] Result<void> write_file(const File& file, std::uint64_t offset,
                                          std::uint64_t bytes, Deadline deadline);

    /// Sends the head, if nothing has been written yet, and all that has been collected.
    /// Suspends, Errors: as write(). But what a `deadline`, a task-wide one or a request to stop has left
    ///                   unsent is kept, and the body can be written on.
    [[nodiscard]] Result<void> flush(Deadline deadline);

private:
    BodySink* sink_;
};

}  // namespace coir::http
