#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_function.hpp"
#include "coir/http/body_writer.hpp"
#include "coir/http/media_type.hpp"
#include "coir/http/status.hpp"
#include "coir/runtime/file.hpp"

namespace coir::http {

class BodySink;
class UpgradedStream;

/// What a connection does once it has left HTTP; see Response::upgrade().
using UpgradeHook = UniqueFunction<void(UpgradedStream&)>;

/// A piece of a file, to be sent as a body.
struct FilePart {
    std::shared_ptr<const File> file;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

/// All that a handler may say: 200 with an empty body, unless it says otherwise.
///
/// Framing is the engine's: it adds Date, Content-Length or Transfer-Encoding, and Connection. The
/// answer to HEAD is made like the one to GET, and its body is left out.
class Response final {
public:
    /// Without a sink, as in a test of a handler, write() and body_writer() may not be used.
    Response() noexcept = default;
    explicit Response(BodySink& sink) noexcept : sink_(&sink) {}
    Response(const Response&) = delete;
    Response& operator=(const Response&) = delete;

    /// A code that is no final answer (under 200, over 599) becomes 500.
    Response& status(Status status) noexcept {
        status_ =
            status >= Status::ok && status <= Status{599} ? status : Status::internal_server_error;
        touched_ = true;
        return *this;
    }

    /// Adds a field.
    /// Errors: invalid_field, and nothing is added: the name is no token, the value has a control
    ///         character (such as CR, LF or NUL), or the field is the engine's: Date, Connection,
    ///         Keep-Alive, Content-Length, Transfer-Encoding, Server (see
    ///         ServerOptions::server_name). A second Content-Type replaces the first. With Upgrade,
    ///         as a 426 must have it, goes the `Connection: upgrade` that belongs to it.
    [[nodiscard]] Result<void> header(std::string_view name, std::string_view value);
    /// `response.content_type(media::json)`.
    Response& content_type(MediaType type) noexcept {
        content_type_ = type.as_text();
        touched_ = true;
        return *this;
    }
    /// Errors: invalid_field, as header().
    [[nodiscard]] Result<void> content_type(std::string_view type);

    /// The whole body, copied.
    Response& body(std::string_view text);
    /// The whole body, moved.
    template <std::same_as<std::string> S>
    Response& body(S&& text) noexcept {
        owned_body_ = std::move(text);
        owns_text_ = true;
        return body_static(owned_body_);
    }
    /// The whole body, neither copied nor owned.
    /// Requires: `text` outlives the connection, as a literal or a file loaded at start-up does.
    Response& body_static(std::string_view text) noexcept {
        body_ = text;
        touched_ = true;
        if (rare_) [[unlikely]] {
            forget_file();
        }
        return *this;
    }
    template <std::same_as<std::string> S>
    Response& body_static(S&& text) = delete;  // a temporary is gone before it is sent

    /// The whole body: `bytes` of `file` from `offset` on, instead of what body() said. The kernel sends
    /// them once the handler has returned (sendfile); they pass through no buffer of this process. The
    /// length is promised: if the file ends before, because somebody has cut it, the connection ends in
    /// the middle, and ServerOptions::on_error hears unexpected_eof.
    ///
    /// Opening and asking for the size are the handler's: File does both without blocking the worker.
    ///
    ///     auto file = coir::File::open(path, {}, deadline);
    ///     const auto size = file ? file->size(deadline) : coir::Result<std::uint64_t>(file.error());
    ///     if (size) {
    ///         response.content_type(media::text_plain).file(std::move(*file), 0, *size);
    ///     }
    ///
    /// Cost: of the first form one allocation; the file is closed when it has been sent. The second
    ///       form shares a file that stays open for many responses. A file that is not in memory holds
    ///       up the worker while the disk reads.
    /// Throws std::bad_alloc.
    Response& file(File file, std::uint64_t offset, std::uint64_t bytes);
    Response& file(std::shared_ptr<const File> file, std::uint64_t offset, std::uint64_t bytes);

    /// Promises that write() will be given exactly so many bytes. Before the first write(). A route
    /// of HEAD's own says by it what GET would send; with neither this nor a body, HEAD gets no
    /// length.
    Response& content_length(std::uint64_t bytes) noexcept {
        promised_length_ = bytes;
        touched_ = true;
        return *this;
    }
    /// Instead of body(): writes a piece of a body that is still being made; see BodyWriter.
    [[nodiscard]] Result<void> write(std::span<const std::byte> data, Deadline deadline) {
        return body_writer().write(data, deadline);
    }
    [[nodiscard]] Result<void> write(std::string_view text, Deadline deadline) {
        return body_writer().write(text, deadline);
    }
    /// Requires: this response was made with a sink.
    [[nodiscard]] BodyWriter body_writer() noexcept {
        COIR_ASSERT(sink_ != nullptr);
        return BodyWriter(*sink_);
    }

    /// Adds a field behind a streamed body, such as its checksum: at any time before the handler returns.
    ///
    /// It is sent if the body is chunked and the client has said `TE: trailers`, and else left out, so it
    /// must be something that the client can do without; see Request::wants_trailers().
    /// Errors: invalid_field, as header(), and for names that would be too late behind the body, such as
    ///         Content-Type, Cache-Control, Set-Cookie or Content-Length (RFC 9110, 6.5.1).
    [[nodiscard]] Result<void> trailer(std::string_view name, std::string_view value);
    /// Says in the head that trailer() will be called with this name (`Trailer: name`), unless the client
    /// will not get it. Before the first write(); not needed, but of use to proxies and clients.
    /// Errors: as trailer().
    [[nodiscard]] Result<void> announce_trailer(std::string_view name);

    /// Sends the replies to earlier requests of the same pipelined burst, which otherwise leave with
    /// this one. For a handler that is about to wait long; no system call if there are none.
    ///
    /// Suspends, Errors: as BodyWriter::flush(); but after a `deadline`, or a request to stop, they are
    ///                   sent on later.
    /// Requires: this response was made with a sink.
    [[nodiscard]] Result<void> send_earlier_replies(Deadline deadline);

    /// Leaves HTTP: the response is `101 Switching Protocols` with the fields of this one, and when
    /// it has been sent `hook` has the connection for itself. What else the response says is left
    /// out.
    ///
    ///     const auto hook = [room](UpgradedStream& client) { talk(client, room); };
    ///     if (!response.upgrade("websocket", hook)) {
    ///         response.status(Status::upgrade_required);
    ///         (void)response.header("Upgrade", "websocket");
    ///         return;
    ///     }
    ///     (void)response.header("Sec-WebSocket-Accept", accept_for(key));
    ///
    /// Once the handler has returned the engine reads what is left of the request's body, up to
    /// max_drained_bytes, sends the replies to earlier requests and the 101, and gives the exchange
    /// with its buffers back. Then the hook runs, on the handler's fiber. Request, response and
    /// all views from them are gone by then: it has what it has captured by value, and its
    /// argument. The connection goes on counting as open, none of the server's timeouts concern it
    /// any more, and nothing on it is taken for HTTP again. When the hook returns, the connection
    /// ends with the server's lingering; when it throws, with a reset, and it counts as a failure
    /// of a handler.
    ///
    /// If the handler throws or writes after all, or the rest of the body is too long, does not
    /// come or is no body, the hook is dropped and the client gets the error instead.
    /// Errors: nothing has changed then. upgrade_not_offered: see Request::offers_upgrade().
    ///         body_too_large: the unread body is over max_drained_bytes; read it before. An error
    ///         of the body. response_already_started: write() has been called. invalid_field: there
    ///         is an Upgrade already. Throws std::bad_alloc.
    /// Requires: this response was made with a sink, and `hook` holds a callable.
    [[nodiscard]] Result<void> upgrade(std::string_view protocol, UpgradeHook hook);

    /// The connection closes after this response, and says so in it.
    Response& close_connection() noexcept {
        close_ = true;
        touched_ = true;
        return *this;
    }

    [[nodiscard]] Status status() const noexcept { return status_; }
    [[nodiscard]] std::string_view content_type() const noexcept { return content_type_; }
    /// The added fields as they will be sent, each with its CRLF.
    [[nodiscard]] std::string_view fields() const noexcept { return fields_; }
    [[nodiscard]] std::string_view body() const noexcept { return body_; }
    /// What trailer() has added, each with its CRLF.
    [[nodiscard]] std::string_view trailers() const noexcept {
        return rare_ != nullptr ? std::string_view(rare_->trailers) : std::string_view();
    }
    /// Null unless file() has been called.
    [[nodiscard]] const FilePart* file_part() const noexcept {
        return rare_ != nullptr && rare_->part.file != nullptr ? &rare_->part : nullptr;
    }
    [[nodiscard]] std::optional<std::uint64_t> promised_length() const noexcept {
        return promised_length_;
    }
    [[nodiscard]] bool closes_connection() const noexcept { return close_; }
    /// Whether there is an Upgrade among the fields.
    [[nodiscard]] bool names_upgrade() const noexcept { return names_upgrade_; }
    [[nodiscard]] bool is_upgrade() const noexcept { return rare_ != nullptr && rare_->upgrade; }
    /// Whether there is more to it than fields and a body(): a file, trailers or an upgrade.
    [[nodiscard]] bool is_rare() const noexcept { return rare_ != nullptr; }
    /// Makes it the 101 that upgrade() has promised. Requires: is_upgrade().
    void switch_protocols() noexcept;
    /// Requires: is_upgrade().
    [[nodiscard]] UpgradeHook take_upgrade() noexcept { return std::move(rare_->upgrade); }
    /// Whether the handler has said anything.
    [[nodiscard]] bool is_touched() const noexcept { return touched_; }

    /// As after construction; keeps its memory for the next response, unless it is much.
    void reset() noexcept {
        status_ = Status::ok;
        close_ = false;
        names_upgrade_ = false;
        touched_ = false;
        content_type_ = {};
        body_ = {};
        promised_length_.reset();
        if (owns_text_) {
            forget_text();
        }
        if (rare_) [[unlikely]] {
            forget_rare();
        }
    }

private:
    static constexpr std::size_t kKeptBytes = 64 * 1024;

    // What most responses do without, so that they have one pointer to look at.
    struct Rare {
        FilePart part;
        std::string trailers;
        UpgradeHook upgrade;
    };

    void forget_text() noexcept;
    [[nodiscard]] Rare& rare();
    // Not inline: neither every handler nor every connection should hold them.
    [[gnu::noinline]] void forget_file() noexcept;
    [[gnu::noinline]] void forget_rare() noexcept;

    BodySink* sink_ = nullptr;
    Status status_ = Status::ok;
    bool close_ = false;
    bool names_upgrade_ = false;
    bool touched_ = false;
    bool owns_text_ = false;         // something is, or was since reset(), in one of the strings
    std::string_view content_type_;  // static, or in owned_content_type_
    std::string_view body_;          // static, or in short_body_ or owned_body_
    std::optional<std::uint64_t> promised_length_;
    std::string fields_;
    std::string owned_content_type_;
    std::string owned_body_;
    std::array<char, 16> short_body_{};  // a copy of few bytes, as numbers are, is cheaper in here
    std::unique_ptr<Rare> rare_;
};

}  // namespace coir::http
