// The parser's doors. Whatever the pieces in which bytes arrive: the same requests, or the same refusal; what is
// let in has the form that the rest of the engine relies on; and llhttp makes the same of a plain head as the door
// for those.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/pieces.hpp"
#include "fuzz/promise.hpp"
#include "http/door_comparison.hpp"
#include "http/event_log.hpp"

namespace {

using coir::fuzz::require;
using coir::http::Header;
using coir::http::RequestHead;
using coir::http::RequestParser;
using coir::http::test::EventLog;

bool is_visible(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

bool is_text(std::string_view text) {
    return std::ranges::none_of(text, [](char c) {
        return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f';
    });
}

void check_head(const RequestHead& head) {
    require(is_visible(head.target) && !head.target.empty(), "a target is visible ASCII");
    require(head.path.starts_with('/') ||
                (head.path == "*" && head.method == coir::http::Method::options),
            "a path begins with a slash");
    require(head.path.find_first_of("?#") == std::string_view::npos, "a path ends at the query");
    require(head.query.find('#') == std::string_view::npos, "there is no fragment");
    require(!(head.chunked && head.content_length), "a body has one framing");
    require(head.version == coir::http::Version::http_1_1 || !head.chunked,
            "HTTP/1.0 has no chunks");
    int lengths = 0;
    int hosts = 0;
    for (const Header header : head.headers) {
        require(!header.name.empty() && is_visible(header.name) &&
                    header.name.find_first_of("\"(),/:;<=>?@[\\]{}") == std::string_view::npos,
                "a field's name is a token");
        require(is_text(header.value), "a field's value has no control characters");
        require(
            header.value.empty() || (header.value.front() != ' ' && header.value.back() != ' ' &&
                                     header.value.front() != '\t' && header.value.back() != '\t'),
            "a field's value has no blanks around it");
        hosts += coir::http::equals_ignoring_case(header.name, "host");
        if (coir::http::equals_ignoring_case(header.name, "content-length")) {
            ++lengths;
            require(head.content_length &&
                        header.value.find_first_not_of("0123456789") == std::string_view::npos,
                    "a length is a number");
        }
    }
    require(lengths <= 1, "there is one length at most");
    require(hosts == 1 || (hosts == 0 && head.version == coir::http::Version::http_1_0),
            "there is one Host");
}

constexpr RequestParser::Limits kLimits{
    .max_header_bytes = 4096, .max_header_fields = 16, .max_target_bytes = 1024};

EventLog log_of(coir::fuzz::Pieces pieces, bool whole, bool leaves_all_to_llhttp = false) {
    EventLog::Options options{.wants_headers = true, .limits = kLimits, .on_head = &check_head};
    options.limits.leaves_all_to_llhttp = leaves_all_to_llhttp;
    EventLog log(options);
    if (whole) {
        log.feed(pieces.all());
    }
    while (!whole && !pieces.empty()) {
        log.feed(pieces.next());
    }
    log.finish();
    return log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const coir::fuzz::Pieces pieces(data, size);
    const EventLog log = log_of(pieces, true);
    require(log.events() == log_of(pieces, false).events(), "pieces make no difference");
    require(log.events() == log_of(pieces, true, true).events(), "nor does the door");
    require(coir::http::test::difference_of_doors(pieces.all(), kLimits).empty(),
            "each piece of a head lies where llhttp finds it");
    return 0;
}
