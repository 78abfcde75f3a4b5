#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/http/headers.hpp"

namespace coir::http {

class BodySource;

/// The body of one request, piece by piece or whole.
///
/// Nothing is read from the socket until a handler asks. What a handler leaves unread is drained
/// within a limit, or the connection closes. A handler that returns without a response after an
/// error from here need not make one: the engine then answers with the status that fits (413, 400,
/// 408).
class BodyReader final {
public:
    /// A request without a body.
    BodyReader() noexcept = default;
    explicit BodyReader(BodySource& source) noexcept : source_(&source) {}

    /// Reads at least one byte, unless the body has ended: then 0.
    ///
    /// Suspends: until bytes come, `deadline`, or the server's own body_timeout. Replies to earlier
    ///           requests, and `100 Continue` if the client waits for it, are sent before.
    /// Errors:   timed_out, unexpected_eof, malformed_chunk, body_too_large, connection_reset,
    ///           operation_canceled. The connection is closed after the response to any of them, unless
    ///           it was `deadline`, the task-wide one, or a request to stop that ended the wait: then
    ///           the body can be read on.
    /// Requires: `into` is not empty.
    [[nodiscard]] Result<std::size_t> read_some(std::span<std::byte> into,
                                                Deadline deadline) noexcept;

    /// The rest of the body. The view stays valid until the handler returns. It is refused with
    /// body_too_large if it has more than ServerOptions::max_body_bytes, also on a route that takes more
    /// (see RouteOptions): this is what one connection may keep in memory.
    ///
    /// Suspends, Errors: as read_some(), but what had come by `deadline` is lost, and the connection
    ///                   is closed. Throws std::bad_alloc; what had come is lost then, and later
    ///                   calls say not_enough_memory.
    /// Cost: no copy and no allocation where the whole body has arrived with the head; else one
    ///       buffer that grows to the size of the body.
    [[nodiscard]] Result<std::string_view> read_all(Deadline deadline);
    /// The same with another bound.
    [[nodiscard]] Result<std::string_view> read_all(std::size_t max_bytes, Deadline deadline);

    /// The length that the client has announced; none for a chunked body, 0 without a body.
    [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept;
    /// Whether all of it has been read.
    [[nodiscard]] bool at_end() const noexcept;
    /// The fields that came behind the body, such as its checksum; none before at_end(), none without
    /// chunks. They live until the handler returns.
    ///
    /// Anybody may have dropped or added them on the way, and nothing in the head depends on them: look
    /// for the names that you know, and do not treat them as headers. Names that would change how the
    /// request is framed, routed or read are left out (RFC 9110, 6.5.1).
    [[nodiscard]] Headers trailers() const noexcept;
    /// The error that ended the body, if one did.
    [[nodiscard]] std::error_code error() const noexcept;

private:
    BodySource* source_ = nullptr;
};

}  // namespace coir::http
