// The chunked coding. What is decoded is what a plain reading of RFC 9112, section 7.1, finds, and ends where that
// ends, whatever the pieces; a body in its plainest form is always taken.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fuzz/pieces.hpp"
#include "fuzz/promise.hpp"
#include "http/event_log.hpp"

namespace {

using coir::fuzz::require;
using coir::http::test::EventLog;

constexpr std::string_view kHead =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
// Tells where the body ended: this is a request only if it begins right there.
constexpr std::string_view kNext = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

struct Body {
    std::string text;
    std::size_t end = 0;   // in the input
    bool is_plain = true;  // no extensions, no trailers, no leading zeros
};

std::optional<std::string_view> take_line(std::string_view bytes, std::size_t& at) {
    const std::size_t end = bytes.find("\r\n", at);
    if (end == std::string_view::npos) {
        return std::nullopt;
    }
    const auto line = bytes.substr(at, end - at);
    at = end + 2;
    return line;
}

/// What lies in front of `bytes`, read as the grammar is written; none if it is not whole.
std::optional<Body> read_plainly(std::string_view bytes) {
    Body body;
    for (;;) {
        const auto line = take_line(bytes, body.end);
        if (!line) {
            return std::nullopt;
        }
        const std::size_t digits = line->find_first_not_of("0123456789abcdefABCDEF");
        const auto number = line->substr(0, digits);
        if (number.empty() || number.size() > 16) {
            return std::nullopt;
        }
        body.is_plain = body.is_plain && number.size() == line->size() &&
                        (number.size() == 1 || number.front() != '0');
        const std::uint64_t size = std::stoull(std::string(number), nullptr, 16);
        if (size == 0) {
            break;
        }
        if (bytes.size() - body.end < 2 || size > bytes.size() - body.end - 2 ||
            bytes.substr(body.end + size, 2) != "\r\n") {
            return std::nullopt;
        }
        body.text += bytes.substr(body.end, size);
        body.end += size + 2;
    }
    for (;;) {
        const auto line = take_line(bytes, body.end);
        if (!line) {
            return std::nullopt;
        }
        if (line->empty()) {
            return body;
        }
        body.is_plain = false;
    }
}

EventLog log_of(coir::fuzz::Pieces pieces, bool whole, std::string_view end) {
    EventLog log({});
    log.feed(kHead);
    if (whole) {
        log.feed(pieces.all());
    }
    while (!whole && !pieces.empty()) {
        log.feed(pieces.next());
    }
    log.feed(end);
    log.finish();
    return log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const coir::fuzz::Pieces pieces(data, size);
    const auto events = log_of(pieces, true, {}).events();
    require(events == log_of(pieces, false, {}).events(), "pieces make no difference");
    const auto body = read_plainly(pieces.all());
    const bool was_taken = events.size() > 1 && events[1].starts_with("body ");
    if (was_taken) {
        require(body.has_value(), "nothing else than the grammar is taken");
        require(events[1].substr(5) == body->text, "the body is what the chunks have");
        if (body->end == pieces.all().size()) {
            const auto more = log_of(pieces, true, kNext).events();
            require(more.size() == 3 && more[2] == "request GET /next 1.1 keep",
                    "the next request begins where the body ends");
        }
    } else if (body && body->is_plain) {
        require(false, "a plain body is taken");
    }
    return 0;
}
