#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "coir/base/buffer.hpp"
#include "coir/http/response.hpp"
#include "coir/http/version.hpp"

/// Turns responses into bytes: status line, fields, length or chunks.
///
/// Every head is `status line, Date, Connection, Content-Type, the server's fields, the handler's
/// fields, framing`; a new field is one line in the source.
namespace coir::http::response_writer {

/// What a reply takes from its request and from the connection.
struct Context {
    std::string_view date_line;  // DateCache::line_at()
    Version version = Version::http_1_1;
    bool keep_alive = true;  // what the reply says; Response::close_connection() counts as well
    bool is_head = false;    // the answer to HEAD has no body
    std::string_view fields = {};  // complete lines that every reply of the server has
};

/// How a client finds the end of the body.
enum class Framing { none, length, chunked, until_close };

/// How the body of `response` is framed if it is streamed. `has_length`: it is known already.
[[nodiscard]] Framing streamed_framing(const Response& response, bool has_length,
                                       const Context& context) noexcept;

/// The head and its empty line, for a body that follows piece by piece.
void append_head(Buffer& out, const Response& response, const Context& context, Framing framing,
                 std::uint64_t length);

/// The whole response. The answer to HEAD may promise a length that it has no body for. Bodies over
/// kLargeBody are left out of `out`: the caller sends them from where they lie. True if the body
/// has been left out so.
constexpr std::size_t kLargeBody = 16 * 1024;
[[nodiscard]] bool append_response(Buffer& out, const Response& response, const Context& context);

/// A reply of the engine's own: a plain text of one line. It closes the connection if
/// `context.keep_alive` is false. `fields` are complete lines, such as "Allow: GET\r\n".
void append_plain(Buffer& out, Status status, const Context& context, std::string_view fields);

void append_continue(Buffer& out);

/// What the size of a chunk and the two line ends take at most.
constexpr std::size_t kChunkFraming = 2 * sizeof(std::size_t) + 4;
/// "1f\r\n". The data and "\r\n" follow.
void append_chunk_size(Buffer& out, std::uint64_t size);
/// `fields` are the complete lines of the trailer section. All or nothing is appended.
void append_last_chunk(Buffer& out, std::string_view fields = {});

}  // namespace coir::http::response_writer
