#pragma once

// What coir-floor understands of HTTP, and what it answers: the four requests of the load benchmark, and no more.
// Functions on memory; the loop is in epoll_loop.hpp, and floor.cpp says what may be cut here and what may not.

#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>

#include "epoll_loop.hpp"

// For one source file, and internal to it: what is called once is to be inlined there.
namespace coir::bench {
namespace {

static_assert(std::endian::native == std::endian::little,
              "word() compares text as little-endian integers");

constexpr std::size_t kPaddingBytes = 64;  // readable newlines behind the input

// ---- text ----
//
// Input is followed by kPaddingBytes newlines. So a search for a newline ends, and a comparison
// that runs past the end reads defined bytes, without a check at every step. A result behind `end`
// then means "not all arrived yet".

/// Up to eight characters as the integer that load() makes of them, the first in the lowest byte.
constexpr std::uint64_t word(std::string_view text) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        value |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    }
    return value;
}

std::uint64_t load(const char* at) {
    std::uint64_t value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
}

/// Folds letters to lower case, and some other characters too ('\r' to '-'): near enough here.
std::uint64_t load_lower(const char* at) {
    return load(at) | word("        ");
}

constexpr std::uint64_t kTwoBytes = 0xffff;
constexpr std::uint64_t kSevenBytes = ~std::uint64_t{0} >> 8;

const char* find_newline(const char* at) {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    for (;; at += 8) {
        const std::uint64_t bytes = load(at) ^ (kOnes * '\n');
        const std::uint64_t zeros = (bytes - kOnes) & ~bytes & (kOnes << 7);
        if (zeros != 0) return at + std::countr_zero(zeros) / 8;
    }
}

/// An integer whose digits may come in pieces: a chunked body may be cut between any two of them.
class IntegerParser {
public:
    /// Takes characters up to the first that is not of the number; returns where that is.
    const char* take(const char* at, const char* limit) {
        if (digits_ == 0 && !negative_ && at != limit && *at == '-') {
            negative_ = true;
            ++at;
        }
        for (; at < limit; ++at, ++digits_) {
            const unsigned digit = static_cast<unsigned char>(*at) - unsigned{'0'};
            if (digit > 9) break;
            magnitude_ = magnitude_ * 10 + digit;
        }
        return at;
    }

    /// 18 digits always fit; the larger numbers that would still fit are not understood here.
    bool valid() const { return digits_ > 0 && digits_ <= 18; }
    bool empty() const { return digits_ == 0 && !negative_; }
    std::uint64_t value() const { return negative_ ? 0 - magnitude_ : magnitude_; }

private:
    std::uint64_t magnitude_ = 0;
    unsigned digits_ = 0;
    bool negative_ = false;
};

// ---- requests ----

enum class Parsed { whole, partial, bad };

struct Request {
    bool is_pipeline = false;
    bool is_chunked = false;
    bool has_length = false;
    std::uint64_t body_bytes = 0;
    std::uint64_t sum = 0;  // of query and body; unsigned, so that overflow is defined
};

/// Reads `?name=integer&name=integer`; returns where it ends, or null.
const char* parse_query(const char* at, const char* end, Request& request) {
    do {
        for (++at; *at != '='; ++at) {
            if (*at == ' ' || *at == '\n') return nullptr;
        }
        IntegerParser value;
        at = value.take(at + 1, end);
        if (!value.valid()) return nullptr;
        request.sum += value.value();
    } while (*at == '&');
    return at;
}

/// Reads the request line; returns where the header fields begin, or null.
const char* parse_request_line(const char* at, const char* end, Request& request) {
    if (load(at) == word("GET /pip")) {
        request.is_pipeline = true;
        const bool exact = load(at + 8) == word("eline HT") && load(at + 16) == word("TP/1.1\r\n");
        return exact ? at + 24 : nullptr;
    }
    if (load(at) == word("GET /bas") && load(at + 7) == word("seline11")) {
        at += 15;
    } else if (load(at) == word("POST /ba") && load(at + 8) == word("seline11")) {
        at += 16;
    } else {
        return nullptr;
    }
    if (*at == '?') {
        at = parse_query(at, end, request);
        if (at == nullptr) return nullptr;
    }
    return load(at) == word(" HTTP/1.") && load(at + 3) == word("TP/1.1\r\n") ? at + 11 : nullptr;
}

/// Reads the header fields and the empty line; returns where the body begins, or null.
const char* parse_fields(const char* at, const char* end, Request& request) {
    while (at < end) {
        if (*at == '\r') return at[1] == '\n' ? at + 2 : nullptr;
        const std::uint64_t name = load_lower(at);
        if (name == word("content-") && (load_lower(at + 8) & kSevenBytes) == word("length:")) {
            for (at += 15; *at == ' '; ++at) {
            }
            IntegerParser length;
            at = length.take(at, end);
            if (!length.valid() || *at != '\r' || request.has_length) return nullptr;
            request.has_length = true;
            request.body_bytes = length.value();
        } else if (name == word("transfer") && load_lower(at + 8) == word("-encodin")) {
            if (load_lower(at + 16) != word("g: chunk") ||
                (load_lower(at + 24) & kTwoBytes) != word("ed") || at[26] != '\r') {
                return nullptr;
            }
            request.is_chunked = true;
        }
        at = find_newline(at) + 1;
    }
    return nullptr;
}

Parsed add_body(const IntegerParser& number, Request& request) {
    if (number.empty()) return Parsed::whole;
    request.sum += number.value();
    return number.valid() ? Parsed::whole : Parsed::bad;
}

Parsed parse_sized_body(const char*& at, const char* end, Request& request) {
    if (request.body_bytes > kPartialBytes) return Parsed::bad;
    const char* const body_end = at + request.body_bytes;
    if (body_end > end) return Parsed::partial;
    IntegerParser number;
    at = number.take(at, body_end);
    return at == body_end ? add_body(number, request) : Parsed::bad;
}

Parsed parse_chunked_body(const char*& at, const char* end, Request& request) {
    const auto mismatch = [&] { return at + 2 > end ? Parsed::partial : Parsed::bad; };
    const auto take_line_end = [&] {
        const bool there = at + 2 <= end && at[0] == '\r' && at[1] == '\n';
        at += there ? 2 : 0;
        return there;
    };
    IntegerParser number;
    for (;;) {
        std::size_t chunk_bytes = 0;
        const auto [size_end, error] = std::from_chars(at, end, chunk_bytes, 16);
        if (error != std::errc{}) return at == end ? Parsed::partial : Parsed::bad;
        at = size_end;
        if (!take_line_end()) return mismatch();
        if (chunk_bytes == 0) break;
        if (chunk_bytes > kPartialBytes) return Parsed::bad;
        const char* const chunk_end = at + chunk_bytes;
        if (chunk_end > end) return Parsed::partial;
        at = number.take(at, chunk_end);
        if (at != chunk_end) return Parsed::bad;
        if (!take_line_end()) return mismatch();
    }
    return take_line_end() ? add_body(number, request) : mismatch();
}

/// Reads one request. `at` moves behind it only if it is whole.
Parsed parse_request(const char*& at, const char* end, Request& request) {
    const char* next = parse_request_line(at, end, request);
    if (next != nullptr) next = parse_fields(next, end, request);
    if (next == nullptr || next > end) {
        // Nothing above asked whether it failed on bytes that are still to come. That is rare and
        // decided here; the price is that nonsense is refused only when its empty line is there.
        const std::string_view head(at, static_cast<std::size_t>(end - at));
        return head.find("\r\n\r\n") == std::string_view::npos ? Parsed::partial : Parsed::bad;
    }
    Parsed body = Parsed::whole;
    if (request.is_chunked) {
        body = request.has_length ? Parsed::bad : parse_chunked_body(next, end, request);
    } else if (request.has_length) {
        body = parse_sized_body(next, end, request);
    }
    if (body == Parsed::whole) at = next;
    return body;
}

// ---- replies ----

constexpr std::string_view kPipelineReply =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

constexpr std::size_t kMostSumBytes = 20;  // "-9223372036854775808"
constexpr std::size_t kMostHeadBytes = 65;

/// The head of a reply for each length of a sum; of one size, so that copying needs no loop.
using ReplyHeads = std::array<std::array<char, kMostHeadBytes>, kMostSumBytes + 1>;

ReplyHeads make_reply_heads() {
    ReplyHeads heads{};
    for (std::size_t length = 0; length < heads.size(); ++length) {
        const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
                                 std::to_string(length) + "\r\n\r\n";
        head.copy(heads[length].data(), kMostHeadBytes);
    }
    return heads;
}

const ReplyHeads kReplyHeads = make_reply_heads();

char* write_reply(char* out, const Request& request) {
    if (request.is_pipeline) {
        std::memcpy(out, kPipelineReply.data(), kPipelineReply.size());
        return out + kPipelineReply.size();
    }
    std::array<char, kMostSumBytes> digits;
    const auto sum = static_cast<std::int64_t>(request.sum);
    const char* const digits_end = std::to_chars(digits.begin(), digits.end(), sum).ptr;
    const auto length = static_cast<std::size_t>(digits_end - digits.data());
    std::memcpy(out, kReplyHeads[length].data(), kMostHeadBytes);
    out += length < 10 ? kMostHeadBytes - 1 : kMostHeadBytes;
    std::memcpy(out, digits.data(), digits.size());
    return out + length;
}

}  // namespace
}  // namespace coir::bench
