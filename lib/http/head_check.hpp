#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bytes.hpp"
#include "coir/base/error.hpp"
#include "coir/base/number.hpp"
#include "coir/http/request.hpp"
#include "syntax.hpp"

/// What a request head must be beyond what llhttp checks. Pure functions over the bytes of the head
/// and the pieces that were found in it; RequestParser is their only user, and they are inline
/// because they run once per request: an eighth of its instructions would go into calls.
///
/// An Errc that says "no objection" is Errc{}.
namespace coir::http::head_check {

#define COIR_ALWAYS_INLINE [[gnu::always_inline]] inline
#define COIR_NEVER_INLINE [[gnu::noinline]] inline

inline constexpr std::size_t kVersionTailBytes = 11;  // " HTTP/1.1\r\n", after the target

using bytes::load;

[[nodiscard]] inline bool is_blank(char c) noexcept {
    return c == ' ' || c == '\t';
}

/// Whether the token at `name` is `lower`, without regard to case. In a token, setting bit 5 turns
/// only an upper-case letter into its lower-case one; nothing else becomes a letter or '-'.
template <std::size_t N>
[[nodiscard]] inline bool is_name(const char* name, const char (&lower)[N]) noexcept {
    constexpr std::size_t kSize = N - 1;
    constexpr std::uint64_t kFold = 0x2020202020202020U;
    const auto same = [name, &lower]<typename Word>(std::size_t at, Word fold) {
        return (load<Word>(name + at) | fold) == load<Word>(lower + at);
    };
    if constexpr (kSize > 16) {
        static_assert(kSize <= 24);
        return same(0, kFold) && same(8, kFold) && same(kSize - 8, kFold);
    } else if constexpr (kSize >= 8) {
        return same(0, kFold) && same(kSize - 8, kFold);
    } else {
        static_assert(kSize >= 4);
        constexpr auto kFold32 = static_cast<std::uint32_t>(kFold);
        return same(0, kFold32) && same(kSize - 4, kFold32);
    }
}

/// Whether `tail`, what follows the target, is " HTTP/1.1\r\n" or, for 0, " HTTP/1.0\r\n".
[[nodiscard]] inline bool is_version_tail(const char* tail, char minor) noexcept {
    const char expected[] = {'.', minor, '\r', '\n'};
    return load<std::uint64_t>(tail) == load<std::uint64_t>(" HTTP/1.") &&
           load<std::uint32_t>(tail + 7) == load<std::uint32_t>(expected);
}

/// The fields that decide about framing, as they turn up among the others.
struct KnownFields {
    enum Kind : unsigned {
        kExpect = 1,
        kContentLength = 2,
        kTransferEncoding = 4,
        kConnection = 8,
    };

    COIR_ALWAYS_INLINE void see(const char* name, std::size_t name_size,
                                std::string_view value) noexcept {
        if (name_size >= sizeof kFirstLetters || kFirstLetters[name_size] != (*name | 0x20)) {
            return;
        }
        if (name_size != 4) {
            see_other(name, name_size, value);
        } else if (is_name(name, "host")) {
            ++hosts;
            host = value;
        }
    }
    [[nodiscard]] bool has(Kind kind) const noexcept { return (seen & kind) != 0; }
    [[nodiscard]] bool has_two(Kind kind) const noexcept { return (repeated & kind) != 0; }

    unsigned hosts = 0;
    unsigned seen = 0;      // Kinds
    unsigned repeated = 0;  // Kinds
    bool close = false;
    bool keep_alive = false;
    bool expects_continue = false;
    bool expects_more = false;  // than that
    std::string_view host;
    std::string_view content_length;
    std::string_view transfer_encoding;

private:
    // Of the one known name of each size: most others begin with another letter.
    static constexpr char kFirstLetters[] = "\0\0\0\0h\0e\0\0\0c\0\0\0c\0\0t";

    COIR_NEVER_INLINE void see_other(const char* name, std::size_t name_size,
                                     std::string_view value) noexcept {
        if (name_size == 10 && is_name(name, "connection")) {
            seen |= kConnection;
            if (equals_ignoring_case(value, "keep-alive")) {  // as most that there are
                keep_alive = true;
                return;
            }
            for_each_element(value, [this](std::string_view option) {
                close = close || equals_ignoring_case(option, "close");
                keep_alive = keep_alive || equals_ignoring_case(option, "keep-alive");
            });
        } else if (name_size == 14 && is_name(name, "content-length")) {
            note(kContentLength, content_length, value);
        } else if (name_size == 17 && is_name(name, "transfer-encoding")) {
            note(kTransferEncoding, transfer_encoding, value);
        } else if (name_size == 6 && is_name(name, "expect")) {
            seen |= kExpect;
            for_each_element(value, [this](std::string_view expectation) {
                const bool is_continue = equals_ignoring_case(expectation, "100-continue");
                expects_continue = expects_continue || is_continue;
                expects_more = expects_more || !is_continue;
            });
        }
    }
    void note(Kind kind, std::string_view& slot, std::string_view value) noexcept {
        repeated |= seen & kind;
        seen |= kind;
        slot = value;
    }
};

/// Any field line but "Name: value" without further blanks, its value at `at`: cuts the blanks
/// around the value off. Returns the end of the value and its blanks, or 0 where the line is none.
[[nodiscard]] COIR_NEVER_INLINE std::uint32_t normalise_field(const char* message, std::uint32_t at,
                                                              HeaderSpan& field) noexcept {
    if (message[at - 1] != ':') {
        return 0;
    }
    while (is_blank(message[at])) {
        ++at;  // stops at the end of the line at the latest
    }
    std::uint32_t size = field.value_size;  // of an empty one, llhttp reports no usable place
    if (size != 0 && at != field.value_begin) {
        return 0;
    }
    const std::uint32_t end = at + size;
    while (size != 0 && is_blank(message[at + size - 1])) {
        --size;
    }
    field.value_begin = static_cast<std::uint16_t>(at);
    field.value_size = static_cast<std::uint16_t>(size);
    return end;
}

/// The field lines, byte for byte: name, colon, blanks, value, blanks, CRLF, and the next one
/// begins right there; then the empty line and `head_end`. llhttp lets folded lines and bare line
/// feeds pass in some places and versions. Cuts the blanks behind the values off and fills `known`.
[[nodiscard]] COIR_ALWAYS_INLINE bool check_fields(const char* message, std::uint32_t line,
                                                   std::size_t head_end, HeaderSpan* field,
                                                   const HeaderSpan* fields_end,
                                                   KnownFields& known) noexcept {
    const auto line_end = load<std::uint16_t>("\r\n");
    for (; field != fields_end; ++field) {
        if (field->name_begin != line) {
            return false;
        }
        const std::uint32_t at = line + field->name_size + 1;
        std::uint32_t end = at + 1 + field->value_size;
        if (load<std::uint16_t>(message + at - 1) != load<std::uint16_t>(": ") ||
            field->value_begin != at + 1 || is_blank(message[end - 1])) [[unlikely]] {
            end = normalise_field(message, at, *field);
            if (end == 0) {
                return false;
            }
        }
        if (load<std::uint16_t>(message + end) != line_end) {
            return false;
        }
        known.see(message + line, field->name_size,
                  {message + field->value_begin, field->value_size});
        line = end + 2;
    }
    return head_end - line == 2 && load<std::uint16_t>(message + line) == line_end;
}

/// Why these transfer codings, which are not "chunked" alone, are refused. Where chunked is not the
/// last one, nobody knows where the body ends (RFC 9112, 6.3); nor where it comes twice.
[[nodiscard]] COIR_NEVER_INLINE Errc refuse_codings(std::string_view codings) noexcept {
    bool ends_with_chunked = false;
    for (;;) {
        const std::size_t comma = codings.find(',');
        std::string_view coding = codings.substr(0, comma);
        while (!coding.empty() && is_blank(coding.front())) {
            coding.remove_prefix(1);
        }
        while (!coding.empty() && is_blank(coding.back())) {
            coding.remove_suffix(1);
        }
        if (coding.empty() || ends_with_chunked) {
            return Errc::malformed_request;
        }
        ends_with_chunked = equals_ignoring_case(coding, "chunked");
        if (comma == std::string_view::npos) {
            return ends_with_chunked ? Errc::unsupported_coding : Errc::malformed_request;
        }
        codings.remove_prefix(comma + 1);
    }
}

/// Where the body ends (RFC 9112, 6): whatever can be read in two ways is refused.
[[nodiscard]] COIR_NEVER_INLINE Errc check_framing(const KnownFields& known,
                                                   RequestHead& head) noexcept {
    if (known.has(KnownFields::kTransferEncoding)) {
        if (known.has_two(KnownFields::kTransferEncoding) ||
            known.has(KnownFields::kContentLength) || head.version == Version::http_1_0) {
            return Errc::malformed_request;
        }
        if (!equals_ignoring_case(known.transfer_encoding, "chunked")) {
            return refuse_codings(known.transfer_encoding);
        }
        head.chunked = true;
    }
    if (known.has(KnownFields::kContentLength)) {
        const auto length = parse_integer<std::uint64_t>(known.content_length);
        if (known.has_two(KnownFields::kContentLength) || !length) {
            return Errc::malformed_request;
        }
        head.content_length = *length;
    }
    return {};
}

/// The first '?' or '#' in a target, or its end.
/// Requires: all bytes are ASCII, and the seven behind `end` can be read and are neither.
[[nodiscard]] COIR_ALWAYS_INLINE const char* find_delimiter(const char* from,
                                                            const char* end) noexcept {
    static_assert(kVersionTailBytes >= 7 && std::endian::native == std::endian::little);
    constexpr std::uint64_t kOnes = 0x0101010101010101U;
    for (; from < end; from += 8) {
        // Of ASCII bytes, adding 0x7f sets the high bit of all but the zeros.
        const auto word = load<std::uint64_t>(from);
        const std::uint64_t misses =
            ((word ^ '?' * kOnes) + 0x7f * kOnes) & ((word ^ '#' * kOnes) + 0x7f * kOnes);
        const std::uint64_t hits = ~misses & 0x80 * kOnes;
        if (hits != 0) {
            return from + std::countr_zero(hits) / 8;
        }
    }
    return end;
}

/// Takes "http://authority" off an absolute target.
[[nodiscard]] COIR_NEVER_INLINE Errc take_authority(std::string_view& target, bool trusts_https,
                                                    RequestHead& head) noexcept {
    const std::size_t scheme_end = target.find("://");
    if (scheme_end == std::string_view::npos) {
        return Errc::malformed_request;
    }
    const std::string_view scheme = target.substr(0, scheme_end);
    const bool is_https = equals_ignoring_case(scheme, "https");
    target.remove_prefix(scheme_end + 3);
    head.authority = target.substr(0, target.find_first_of("/?#"));
    target.remove_prefix(head.authority.size());
    if (!(is_https || equals_ignoring_case(scheme, "http")) ||
        !syntax::is_authority(head.authority)) {
        return Errc::malformed_request;
    }
    return is_https && !trusts_https ? Errc::misdirected_request : Errc{};
}

/// The forms of a target (RFC 9112, 3.2), less the one of CONNECT. Requires: as find_delimiter().
[[nodiscard]] COIR_ALWAYS_INLINE Errc split_target(std::string_view target, bool trusts_https,
                                                   RequestHead& head) noexcept {
    if (target.front() != '/') [[unlikely]] {
        if (target == "*" && head.method == Method::options) {
            head.path = target;
            head.query = {};
            return {};
        }
        if (const Errc error = take_authority(target, trusts_https, head); error != Errc{}) {
            return error;
        }
    }
    const char* const begin = target.data();
    const char* const end = begin + target.size();
    const char* const mark = find_delimiter(begin, end);
    head.path = {begin, static_cast<std::size_t>(mark - begin)};
    head.query = {};
    if (mark == begin) [[unlikely]] {
        // Without a path and a query, OPTIONS asks about the whole server (RFC 9112, 3.2.4).
        head.path = mark == end && head.method == Method::options ? "*" : "/";
    }
    if (mark == end) {
        return {};
    }
    head.query = {mark + 1, static_cast<std::size_t>(end - mark - 1)};
    return *mark == '?' && head.query.find('#') == std::string_view::npos ? Errc{}
                                                                          : Errc::malformed_request;
}

#undef COIR_ALWAYS_INLINE
#undef COIR_NEVER_INLINE

}  // namespace coir::http::head_check
