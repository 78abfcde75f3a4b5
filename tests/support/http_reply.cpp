#include "support/http_reply.hpp"

#include <cctype>
#include <charconv>
#include <cstdint>

#include "coir/base/number.hpp"

namespace coir::test {

namespace {

constexpr std::string_view kLineEnd = "\r\n";

std::string to_lower(std::string_view text) {
    std::string lower;
    for (const char c : text) {
        lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return lower;
}

/// Walks over bytes that may end too early.
class Walk final {
public:
    explicit Walk(std::string_view bytes) : bytes_(bytes) {}

    /// The next line without its CRLF; none if it has not arrived.
    std::optional<std::string_view> line() {
        const std::size_t end = bytes_.find(kLineEnd, at_);
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        const std::string_view line = bytes_.substr(at_, end - at_);
        if (line.find_first_of("\r\n") != std::string_view::npos) {
            throw MalformedReply("a line with a bare CR or LF: " + std::string(line));
        }
        at_ = end + kLineEnd.size();
        return line;
    }
    std::optional<std::string_view> exactly(std::size_t size) {
        if (bytes_.size() - at_ < size) {
            return std::nullopt;
        }
        at_ += size;
        return bytes_.substr(at_ - size, size);
    }
    std::string_view rest() {
        const std::string_view rest = bytes_.substr(at_);
        at_ = bytes_.size();
        return rest;
    }
    [[nodiscard]] std::size_t position() const { return at_; }

private:
    std::string_view bytes_;
    std::size_t at_ = 0;
};

void read_status_line(std::string_view line, HttpReply& reply) {
    const bool has_form = line.size() >= 13 &&
                          (line.substr(0, 9) == "HTTP/1.1 " || line.substr(0, 9) == "HTTP/1.0 ") &&
                          line[12] == ' ';
    const auto status =
        parse_integer<unsigned>(line.substr(std::min<std::size_t>(9, line.size()), 3));
    if (!has_form || !status || *status < 100) {
        throw MalformedReply("no status line: " + std::string(line));
    }
    reply.version = line.substr(0, 8);
    reply.status = static_cast<int>(*status);
    reply.reason = line.substr(13);
}

void read_field(std::string_view line, std::vector<HttpReply::Field>& fields) {
    const std::size_t colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos || line.substr(0, colon).find(' ') < colon ||
        line.substr(colon, 2) != ": ") {
        throw MalformedReply("no header field: " + std::string(line));
    }
    fields.push_back({std::string(line.substr(0, colon)), std::string(line.substr(colon + 2))});
}

/// Up to the empty line. False if that has not arrived.
bool read_fields(Walk& walk, std::vector<HttpReply::Field>& fields) {
    while (const auto line = walk.line()) {
        if (line->empty()) {
            return true;
        }
        read_field(*line, fields);
    }
    return false;
}

/// False if the body has not all arrived.
bool read_chunks(Walk& walk, HttpReply& reply) {
    while (true) {
        const auto line = walk.line();
        if (!line) {
            return false;
        }
        std::size_t size = 0;
        const auto [stop, error] =
            std::from_chars(line->data(), line->data() + line->size(), size, 16);
        if (error != std::errc{} || stop != line->data() + line->size()) {
            throw MalformedReply("no chunk size: " + std::string(*line));
        }
        if (size == 0) {
            return read_fields(walk, reply.trailers);
        }
        const auto chunk = walk.exactly(size);
        const auto end = chunk ? walk.exactly(kLineEnd.size()) : std::nullopt;
        if (!end) {
            return false;
        }
        if (*end != kLineEnd) {
            throw MalformedReply("a chunk without its CRLF");
        }
        reply.body += *chunk;
    }
}

/// False if the body has not all arrived.
bool read_body(Walk& walk, ReplyContext context, HttpReply& reply) {
    const auto length = reply.field("Content-Length");
    const auto coding = reply.field("Transfer-Encoding");
    if (length && coding) {
        throw MalformedReply("both Content-Length and Transfer-Encoding");
    }
    if (context.to_head || reply.status < 200 || reply.status == 204 || reply.status == 304) {
        return true;
    }
    if (coding) {
        if (*coding != "chunked") {
            throw MalformedReply("Transfer-Encoding: " + *coding);
        }
        return read_chunks(walk, reply);
    }
    if (length) {
        const auto size = parse_integer<std::size_t>(*length);
        if (!size) {
            throw MalformedReply("Content-Length: " + *length);
        }
        const auto body = walk.exactly(*size);
        reply.body = body.value_or(std::string_view());
        return body.has_value();
    }
    reply.body = walk.rest();
    return context.at_end;
}

}  // namespace

std::optional<std::string> HttpReply::field(std::string_view name) const {
    std::optional<std::string> value;
    for (const Field& field : fields) {
        if (to_lower(field.name) == to_lower(name)) {
            if (value) {
                throw MalformedReply("two fields named " + std::string(name));
            }
            value = field.value;
        }
    }
    return value;
}

bool HttpReply::says_close() const {
    return to_lower(field("Connection").value_or("")) == "close";
}

std::optional<HttpReply> take_reply(std::string& bytes, ReplyContext context) {
    Walk walk(bytes);
    const auto status_line = walk.line();
    if (!status_line) {
        return std::nullopt;
    }
    HttpReply reply;
    read_status_line(*status_line, reply);
    if (!read_fields(walk, reply.fields)) {
        return std::nullopt;
    }
    if (!read_body(walk, context, reply)) {
        return std::nullopt;
    }
    bytes.erase(0, walk.position());
    return reply;
}

}  // namespace coir::test
