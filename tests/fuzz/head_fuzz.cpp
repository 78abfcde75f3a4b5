// The parser's door. Whatever the pieces in which bytes arrive: the same requests, or the same refusal; and what
// it lets in has the form that the rest of the engine relies on.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/pieces.hpp"
#include "fuzz/promise.hpp"
#include "http/event_log.hpp"

namespace {

using coir::fuzz::require;
using coir::http::Header;
using coir::http::RequestHead;
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

EventLog log_of(coir::fuzz::Pieces pieces, bool whole) {
    EventLog log({.wants_headers = true, .on_head = &check_head});
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
    require(log_of(pieces, true).events() == log_of(pieces, false).events(),
            "pieces make no difference");
    return 0;
}
