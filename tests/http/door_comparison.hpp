#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event_log.hpp"
#include "http/byte_scan.hpp"
#include "http/plain_head.hpp"
#include "http/request_parser.hpp"

namespace coir::http::test {

/// The bytes that the door for plain heads takes; 0 if it leaves them to llhttp.
template <typename Scan = byte_scan::Best>
[[nodiscard]] std::size_t plain_bytes(std::string_view bytes, const RequestParser::Limits& limits) {
    RequestHead head;
    head_check::KnownFields known;
    std::vector<HeaderSpan> fields(limits.max_header_fields);
    std::uint32_t count = 0;
    return plain_head::take<Scan>(bytes.substr(0, limits.max_header_bytes),
                                  {static_cast<std::uint32_t>(limits.max_header_fields),
                                   static_cast<std::uint32_t>(limits.max_target_bytes)},
                                  head, fields.data(), count, known);
}

/// What has become of the head at the front, with the place of each piece: the same bytes at another
/// place are another piece.
[[nodiscard]] inline std::string outcome_of(std::string_view bytes, RequestParser& parser) {
    RequestHead head;
    const auto progress = parser.parse_head(bytes, head);
    if (!progress) {
        return "error " + name_of(progress.error());
    }
    if (*progress == RequestParser::Progress::need_more) {
        return "incomplete";
    }
    const auto piece = [bytes](std::string_view text) {
        const bool lies_inside =
            text.data() >= bytes.data() && text.data() <= bytes.data() + bytes.size();
        return " " +
               (text.data() == nullptr ? "none"
                : lies_inside          ? std::to_string(text.data() - bytes.data())
                                       : "constant") +
               "+" + std::to_string(text.size());
    };
    const auto flag = [](bool value) { return value ? "y" : "n"; };
    std::string outcome =
        std::to_string(parser.head_bytes()) + " " + std::string(as_text(head.method)) +
        (head.version == Version::http_1_1 ? " 1.1 " : " 1.0 ") + flag(head.keep_alive) +
        flag(head.expects_continue) + flag(head.chunked) +
        (head.content_length ? std::to_string(*head.content_length) : "-") + piece(head.target) +
        piece(head.path) + piece(head.query) + piece(head.authority);
    for (const Header header : head.headers) {
        outcome += piece(header.name) + piece(header.value);
    }
    return outcome;
}

/// What the parser says with and without its door for plain heads, and that door with each way to look
/// for bytes: nothing if all say the same, which is the promise.
[[nodiscard]] inline std::string difference_of_doors(std::string_view input,
                                                     RequestParser::Limits limits) {
    // Of its exact size, so that a sanitizer sees a read behind it.
    const auto block = std::make_unique<char[]>(input.size());
    std::memcpy(block.get(), input.data(), input.size());
    const std::string_view bytes(block.get(), input.size());
    const auto best = plain_bytes(bytes, limits);
    if (best != plain_bytes<byte_scan::Words>(bytes, limits)) {
        return "the scans differ";
    }
    RequestParser with(limits);
    limits.leaves_all_to_llhttp = true;
    RequestParser without(limits);
    std::string one = outcome_of(bytes, with);
    std::string other = outcome_of(bytes, without);
    return one == other ? "" : std::move(one) + " | without: " + std::move(other);
}

}  // namespace coir::http::test
