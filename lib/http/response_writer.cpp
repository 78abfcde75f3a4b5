#include "response_writer.hpp"

#include <charconv>
#include <cstring>
#include <optional>

#include "bytes.hpp"
#include "coir/base/assert.hpp"
#include "date_cache.hpp"

namespace coir::http::response_writer {
namespace {

// The most that a head holds beside the type and the handler's fields.
constexpr std::size_t kLongestReason = 64;
constexpr std::size_t kFixedPart = 320;
static_assert(kFixedPart >= std::string_view("HTTP/1.1 200 \r\n").size() + kLongestReason +
                                DateCache::kLineSize +
                                std::string_view("Connection: keep-alive, upgrade\r\n").size() +
                                std::string_view("Content-Type: \r\n").size() +
                                std::string_view("Transfer-Encoding: chunked\r\n\r\n").size() +
                                std::string_view("18446744073709551615").size());

// Writes behind itself; the room must have been made before. All inline: a response is a dozen
// short pieces, and calls would cost more than the copies.
class Pen final {
public:
    explicit Pen(char* at) noexcept : at_(at) {}

    // The size of a constant becomes part of the instructions.
    template <std::size_t N>
    [[gnu::always_inline]] Pen& constant(const char (&text)[N]) noexcept {
        return fixed<N - 1>(text);
    }
    template <std::size_t N>
    [[gnu::always_inline]] Pen& fixed(const char* text) noexcept {
        std::memcpy(at_, text, N);
        at_ += N;
        return *this;
    }
    [[gnu::always_inline]] Pen& text(std::string_view text) noexcept {
        at_ = bytes::copy(at_, text.data(), text.size());
        return *this;
    }
    [[gnu::always_inline]] Pen& number(std::uint64_t value) noexcept {
        if (value < 10) {
            *at_++ = static_cast<char>('0' + value);
        } else {
            at_ = std::to_chars(at_, at_ + 20, value).ptr;
        }
        return *this;
    }
    [[nodiscard]] char* at() const noexcept { return at_; }

private:
    char* at_;
};

[[gnu::noinline]] char* put_other_status(char* at, Status status) noexcept {
    return Pen(at)
        .constant("HTTP/1.1 ")
        .number(static_cast<unsigned>(status))
        .constant(" ")
        .text(reason_phrase(status).substr(0, kLongestReason))
        .constant("\r\n")
        .at();
}

// `close`, or the option that belongs to an Upgrade (RFC 9110, 7.8), or both.
[[gnu::noinline]] char* put_connection_options(char* at, bool close, bool names_upgrade,
                                               Version version) noexcept {
    const bool stays_1_0 = !close && version == Version::http_1_0;
    Pen pen(at);
    pen.constant("Connection: ").text(close ? "close" : stays_1_0 ? "keep-alive" : "");
    if (names_upgrade) {
        pen.text(close || stays_1_0 ? ", upgrade" : "upgrade");
    }
    return pen.constant("\r\n").at();
}

[[gnu::always_inline]] inline Pen put_common(char* at, Status status, std::string_view type,
                                             const Context& context, bool close,
                                             bool names_upgrade) noexcept {
    COIR_ASSERT(context.date_line.size() == DateCache::kLineSize);
    Pen pen(at);
    if (status == Status::ok) [[likely]] {
        pen.constant("HTTP/1.1 200 OK\r\n");
    } else {
        pen = Pen(put_other_status(at, status));
    }
    pen.fixed<DateCache::kLineSize>(context.date_line.data());
    if (static_cast<int>(close) | static_cast<int>(names_upgrade)) [[unlikely]] {
        pen = Pen(put_connection_options(pen.at(), close, names_upgrade, context.version));
    } else if (context.version == Version::http_1_0) [[unlikely]] {
        pen.constant("Connection: keep-alive\r\n");
    }
    if (!type.empty()) {
        pen.constant("Content-Type: ").text(type).constant("\r\n");
    }
    if (!context.fields.empty()) {
        pen.text(context.fields);
    }
    return pen;
}

[[gnu::always_inline]] inline void put_framing(Pen& pen, Framing framing,
                                               std::uint64_t length) noexcept {
    if (framing == Framing::length) [[likely]] {
        pen.constant("Content-Length: ").number(length).constant("\r\n\r\n");
    } else if (framing == Framing::chunked) {
        pen.constant("Transfer-Encoding: chunked\r\n\r\n");
    } else {
        pen.constant("\r\n");
    }
}

[[gnu::always_inline]] inline Pen put_head(char* at, const Response& response,
                                           const Context& context, Framing framing,
                                           std::uint64_t length) noexcept {
    Pen pen = put_common(
        at, response.status(), response.content_type(), context,
        !context.keep_alive || response.closes_connection() || framing == Framing::until_close,
        response.names_upgrade());
    if (!response.fields().empty()) {
        pen.text(response.fields());
    }
    put_framing(pen, framing, length);
    return pen;
}

// `bytes` more in `out`, written by `write(char*) -> Pen`.
template <typename Write>
[[gnu::always_inline]] inline void append(Buffer& out, std::size_t bytes, Write write) {
    char* const begin = reinterpret_cast<char*>(out.prepare(bytes).data());
    const char* const end = write(begin).at();
    out.commit(static_cast<std::size_t>(end - begin));
}

std::size_t head_bound(const Response& response, const Context& context) noexcept {
    return kFixedPart + response.content_type().size() + response.fields().size() +
           context.fields.size();
}

// As append_response(), where the head is all that goes to `out`.
[[gnu::noinline]] bool append_without_body(Buffer& out, const Response& response,
                                           const Context& context) {
    const std::string_view body = response.body();
    std::optional<std::uint64_t> length = body.size();
    if (forbids_content(response.status())) {
        length = 0;
    } else if (context.is_head && body.empty()) {
        // Not even 0: GET may have a body (RFC 9110, 8.6).
        length = response.promised_length();
    }
    const bool says_length = length && !forbids_body(response.status());
    append_head(out, response, context, says_length ? Framing::length : Framing::none,
                length.value_or(0));
    return !forbids_content(response.status()) && !context.is_head && !body.empty();
}

}  // namespace

Framing streamed_framing(const Response& response, bool has_length,
                         const Context& context) noexcept {
    if (forbids_body(response.status())) {
        return Framing::none;
    }
    if (has_length || forbids_content(response.status())) {
        return Framing::length;
    }
    return context.version == Version::http_1_1 ? Framing::chunked : Framing::until_close;
}

void append_head(Buffer& out, const Response& response, const Context& context, Framing framing,
                 std::uint64_t length) {
    append(out, head_bound(response, context),
           [&](char* at) { return put_head(at, response, context, framing, length); });
}

bool append_response(Buffer& out, const Response& response, const Context& context) {
    const std::string_view body = response.body();
    const bool has_content = response.status() == Status::ok || !forbids_content(response.status());
    if (context.is_head || body.size() > kLargeBody || !has_content) [[unlikely]] {
        return append_without_body(out, response, context);
    }
    append(out, head_bound(response, context) + body.size(), [&](char* at) {
        return put_head(at, response, context, Framing::length, body.size()).text(body);
    });
    return false;
}

void append_plain(Buffer& out, Status status, const Context& context, std::string_view fields) {
    // What is not supported, and what is (RFC 9110, 15.6.6).
    constexpr std::string_view kVersions = "This server speaks HTTP/1.0 and HTTP/1.1 only";
    const std::string_view text =
        status == Status::http_version_not_supported ? kVersions : reason_phrase(status);
    append(out, kFixedPart + text.size() + fields.size() + context.fields.size(), [&](char* at) {
        Pen pen = put_common(at, status, media::text_plain.as_text(), context, !context.keep_alive,
                             false);
        pen.text(fields);
        put_framing(pen, Framing::length, text.size() + 1);
        return context.is_head ? pen : pen.text(text).constant("\n");
    });
}

void append_continue(Buffer& out) {
    out.append("HTTP/1.1 100 Continue\r\n\r\n");
}

void append_chunk_size(Buffer& out, std::uint64_t size) {
    append(out, 2 * sizeof size + 2, [size](char* at) {
        return Pen(std::to_chars(at, at + 2 * sizeof size, size, 16).ptr).constant("\r\n");
    });
}

void append_last_chunk(Buffer& out, std::string_view fields) {
    append(out, fields.size() + sizeof "0\r\n\r\n",
           [fields](char* at) { return Pen(at).constant("0\r\n").text(fields).constant("\r\n"); });
}

}  // namespace coir::http::response_writer
