#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "byte_scan.hpp"
#include "bytes.hpp"
#include "coir/http/headers.hpp"
#include "coir/http/method.hpp"
#include "coir/http/request.hpp"
#include "head_check.hpp"

/// The door for heads as nearly everybody sends them.
///
/// The problem: llhttp looks at a head byte by byte and calls back for each piece, and what it lets
/// pass has to be looked at once more. A plain head needs one pass. It is here as a whole, of HTTP/1.1,
/// and made of lines that can be read in one way only:
///
///     METHOD /path?query HTTP/1.1
///     Name: value                  one blank, none behind the value, which is not empty
///
/// each with its CR LF, and none of them odd: names are letters, digits and '-', values ASCII without
/// controls. Whatever else comes, be it legal, incomplete or an attack, is left to llhttp.
namespace coir::http::plain_head {

struct Limits {
    std::uint32_t max_header_fields;
    std::uint32_t max_target_bytes;
};

/// One of our methods at the front, and the bytes that it takes with the blank behind it: 0, if there
/// is none.
struct TakenMethod {
    Method method = Method::get;
    std::uint32_t bytes = 0;
};

/// "GET / HTTP/1.1", a field whose name and value are one byte each, and the line ends.
inline constexpr std::size_t kLeastBytes = 24;

[[nodiscard, gnu::noinline]] inline TakenMethod take_rare_method(const char* begin) noexcept {
    constexpr std::size_t kLongest = std::string_view("OPTIONS").size();
    const std::string_view front(begin, kLongest + 1);
    const std::size_t size = front.find(' ');
    const auto method = parse_method(front.substr(0, size));
    return method && size <= kLongest ? TakenMethod{*method, static_cast<std::uint32_t>(size + 1)}
                                      : TakenMethod();
}

[[nodiscard, gnu::always_inline]] inline TakenMethod take_method(const char* begin) noexcept {
    const auto word = bytes::load<std::uint32_t>(begin);
    if (word == bytes::load<std::uint32_t>("GET ")) [[likely]] {
        return {Method::get, 4};
    }
    if (word == bytes::load<std::uint32_t>("POST") && begin[4] == ' ') {
        return {Method::post, 5};
    }
    return take_rare_method(begin);
}

/// How many bytes the plain head at the front takes, or 0: nobody knows, and what has been written to
/// the others means nothing. Fills of `head` what the request line says, `fields` one after the other,
/// and `known`.
///
/// `bytes` are all that have come, up to the limit of a head.
template <typename Scan>
[[nodiscard, gnu::always_inline]] inline std::uint32_t take(
    std::string_view bytes, const Limits& limits, RequestHead& head, HeaderSpan* const fields,
    std::uint32_t& field_count, head_check::KnownFields& known) noexcept {
    using namespace byte_scan;
    static_assert(kLeastBytes >= Scan::kBytes);
    if (bytes.size() < kLeastBytes) {
        return 0;
    }
    const char* const begin = bytes.data();
    const char* const end = begin + bytes.size();
    const TakenMethod method = take_method(begin);
    const char* const target = begin + method.bytes;
    if (method.bytes == 0 || *target != '/') {
        return 0;
    }
    const char* const path_end = find_end<Scan>(PathChars(), target, end);
    const char* target_end = path_end;
    head.query = {};
    if (path_end != end && *path_end == '?') {
        const char* const query = path_end + 1;
        target_end = find_end<Scan>(QueryChars(), query, end);
        head.query = {query, static_cast<std::size_t>(target_end - query)};
    }
    // Behind each piece of a head there are at least so many bytes of others, with two line ends.
    constexpr std::ptrdiff_t kAfterTarget = head_check::kVersionTailBytes + 4;
    constexpr std::ptrdiff_t kAfterName = 7;   // ": v\r\n\r\n"
    constexpr std::ptrdiff_t kAfterValue = 4;  // "\r\n\r\n"
    if (end - target_end < kAfterTarget || !head_check::is_version_tail(target_end, '1') ||
        target_end - target > static_cast<std::ptrdiff_t>(limits.max_target_bytes)) {
        return 0;
    }
    head.method = method.method;
    head.version = Version::http_1_1;
    head.target = {target, static_cast<std::size_t>(target_end - target)};
    head.path = {target, static_cast<std::size_t>(path_end - target)};

    const char* name = target_end + head_check::kVersionTailBytes;
    HeaderSpan* field = fields;
    const HeaderSpan* const fields_end = fields + limits.max_header_fields;
    for (;;) {
        const char* const colon = find_end<Scan>(NameChars(), name, end);
        if (end - colon < kAfterName || colon == name || field == fields_end ||
            bytes::load<std::uint16_t>(colon) != bytes::load<std::uint16_t>(": ")) {
            return 0;
        }
        const char* const value = colon + 2;
        const char* const value_end = find_end<Scan>(TextChars(), value, end);
        // Before the end of an empty value there is a blank, too.
        if (end - value_end < kAfterValue || *value == ' ' || value_end[-1] == ' ') {
            return 0;
        }
        field->name_begin = static_cast<std::uint16_t>(name - begin);
        field->name_size = static_cast<std::uint16_t>(colon - name);
        field->value_begin = static_cast<std::uint16_t>(value - begin);
        field->value_size = static_cast<std::uint16_t>(value_end - value);
        known.see(name, field->name_size, {value, field->value_size});
        ++field;
        const auto ends = bytes::load<std::uint32_t>(value_end);
        if (ends == bytes::load<std::uint32_t>("\r\n\r\n")) {
            field_count = static_cast<std::uint32_t>(field - fields);
            return static_cast<std::uint32_t>(value_end + kAfterValue - begin);
        }
        if (static_cast<std::uint16_t>(ends) != bytes::load<std::uint16_t>("\r\n")) {
            return 0;
        }
        name = value_end + 2;
    }
}

}  // namespace coir::http::plain_head
