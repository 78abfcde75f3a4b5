#include "chunk_decoder.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "syntax.hpp"

namespace coir::http {
namespace {

// Where a message ends and whom it is for: behind the body these are an attack, or an error that no
// two recipients deal with in the same way.
constexpr std::array<std::string_view, 3> kRefusedTrailers = {
    "content-length",
    "host",
    "transfer-encoding",
};
// What has to be known before the body is dealt with, and so comes too late (RFC 9110, 6.5.1): about
// the connection, who asks, on which conditions, and what the content is.
constexpr std::array<std::string_view, 25> kDroppedTrailers = {
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-proto",
};

bool is_among(std::span<const std::string_view> names, std::string_view name) noexcept {
    return std::any_of(names.begin(), names.end(), [name](std::string_view other) {
        return equals_ignoring_case(name, other);
    });
}

constexpr bool is_blank(char c) noexcept {
    return c == ' ' || c == '\t';
}

// 16 or more where it is none.
constexpr unsigned hex_digit(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    if (const unsigned decimal = byte - unsigned{'0'}; decimal < 10) {
        return decimal;
    }
    const unsigned letter = (byte | 0x20U) - unsigned{'a'};
    return letter < 6 ? letter + 10 : 16;
}

}  // namespace

void ChunkDecoder::begin() noexcept {
    state_ = State::first_digit;
    max_bytes_ = std::numeric_limits<std::uint64_t>::max();
    bytes_ = 0;
    extension_bytes_ = 0;
    trailer_bytes_ = 0;
    trailer_fields_ = 0;
    text_.clear();
    fields_.clear();
}

Result<ChunkDecoder::Decoded> ChunkDecoder::decode(std::span<const std::byte> bytes,
                                                   std::byte* into) noexcept {
    const auto* const begin = reinterpret_cast<const char*>(bytes.data());
    const char* const end = begin + bytes.size();
    const char* at = begin;
    std::size_t written = 0;
    while (at != end && state_ != State::complete) {
        if (state_ == State::data) {
            const auto size =
                static_cast<std::size_t>(std::min(left_, static_cast<std::uint64_t>(end - at)));
            if (into != nullptr) {
                std::memmove(into + written, at, size);
            }
            written += size;
            at += size;
            left_ -= size;
            if (left_ == 0) {
                state_ = State::data_return;
            }
            continue;
        }
        Errc error{};
        if (state_ < State::trailer_begin) [[likely]] {
            error = take(*at);
        } else {
            try {
                error = take_trailer(*at);
            } catch (...) {
                return std::make_error_code(std::errc::not_enough_memory);
            }
        }
        if (error != Errc{}) {
            return error;
        }
        ++at;
    }
    return Decoded{static_cast<std::size_t>(at - begin), written, state_ == State::complete};
}

Errc ChunkDecoder::take(char c) noexcept {
    switch (state_) {
        case State::first_digit:
            left_ = 0;
            digits_ = 0;
            return hex_digit(c) < 16 ? take_digit(c) : Errc::malformed_chunk;
        case State::digits: return hex_digit(c) < 16 ? take_digit(c) : end_extension_part(c);
        case State::size_line_feed:
            if (c == '\n') {
                return begin_chunk();
            }
            break;
        case State::data_return:
            if (c == '\r') {
                return go_to(State::data_line_feed);
            }
            break;
        case State::data_line_feed:
            if (c == '\n') {
                return go_to(State::first_digit);
            }
            break;
        default: return take_extension(c);
    }
    return Errc::malformed_chunk;
}

Errc ChunkDecoder::take_digit(char c) noexcept {
    if (digits_ == kMaxSizeDigits) {
        return Errc::malformed_chunk;
    }
    ++digits_;
    left_ = left_ << 4 | hex_digit(c);
    return go_to(State::digits);
}

Errc ChunkDecoder::begin_chunk() noexcept {
    if (left_ > max_bytes_ || bytes_ > max_bytes_ - left_) {
        return Errc::body_too_large;
    }
    bytes_ += left_;
    return go_to(left_ == 0 ? State::trailer_begin : State::data);
}

// Behind the size, a name or a value. The blanks are bad whitespace, which a recipient has to take.
Errc ChunkDecoder::end_extension_part(char c) noexcept {
    if (c == '\r') {
        return go_to(State::size_line_feed);
    }
    if (++extension_bytes_ > limits_.max_extension_bytes) {
        return Errc::body_too_large;
    }
    if (c == ';') {
        return go_to(State::extension_name_begin);
    }
    return is_blank(c) ? go_to(State::blanks_before_extension) : Errc::malformed_chunk;
}

// *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ). What it says is ignored.
Errc ChunkDecoder::take_extension(char c) noexcept {
    const bool is_token = syntax::is_token_char(c);
    if ((state_ == State::extension_name && !is_token && c != '=' && !is_blank(c)) ||
        (state_ == State::extension_token && !is_token) || state_ == State::extension_quoted_end) {
        return end_extension_part(c);
    }
    if (++extension_bytes_ > limits_.max_extension_bytes) {
        return Errc::body_too_large;
    }
    switch (state_) {
        case State::blanks_before_extension:
            if (c == ';') {
                return go_to(State::extension_name_begin);
            }
            break;
        case State::extension_name_begin:
            if (is_token) {
                return go_to(State::extension_name);
            }
            break;
        case State::extension_name:
            if (is_token) {
                return {};
            }
            return go_to(c == '=' ? State::extension_value_begin : State::blanks_after_name);
        case State::blanks_after_name:
            if (c == '=' || c == ';') {
                return go_to(c == '=' ? State::extension_value_begin : State::extension_name_begin);
            }
            break;
        case State::extension_value_begin:
            if (is_token || c == '"') {
                return go_to(is_token ? State::extension_token : State::extension_quoted);
            }
            break;
        case State::extension_token: return {};
        case State::extension_quoted:
            if (c == '"' || c == '\\') {
                return go_to(c == '"' ? State::extension_quoted_end : State::extension_escaped);
            }
            return syntax::is_field_char(c) ? Errc{} : Errc::malformed_chunk;
        case State::extension_escaped:
            return syntax::is_field_char(c) ? go_to(State::extension_quoted)
                                            : Errc::malformed_chunk;
        default: break;
    }
    // The states in which blanks can be skipped.
    return is_blank(c) ? Errc{} : Errc::malformed_chunk;
}

// Field lines as in a head: a name, a colon right behind it, a value, CR LF.
Errc ChunkDecoder::take_trailer(char c) {
    if (++trailer_bytes_ > limits_.max_trailer_bytes) {
        return Errc::header_too_large;
    }
    switch (state_) {
        case State::trailer_begin:
            if (c == '\r') {
                return go_to(State::last_line_feed);
            }
            if (!syntax::is_token_char(c)) {
                break;
            }
            if (++trailer_fields_ > limits_.max_trailer_fields) {
                return Errc::header_too_large;
            }
            field_ = {static_cast<std::uint16_t>(text_.size()), 1, 0, 0};
            text_.push_back(c);
            return go_to(State::trailer_name);
        case State::trailer_name:
            if (c == ':') {
                return begin_value();
            }
            if (!syntax::is_token_char(c)) {
                break;
            }
            ++field_.name_size;
            text_.push_back(c);
            return {};
        case State::trailer_value:
            if (c == '\r') {
                return go_to(State::trailer_line_feed);
            }
            if (!syntax::is_field_char(c)) {
                break;
            }
            if (field_.value_size != 0 || !is_blank(c)) {
                ++field_.value_size;
                text_.push_back(c);
            }
            return {};
        case State::trailer_line_feed:
            if (c != '\n') {
                break;
            }
            end_field();
            return go_to(State::trailer_begin);
        case State::last_line_feed:
            if (c == '\n') {
                return go_to(State::complete);
            }
            break;
        default: break;
    }
    return Errc::malformed_chunk;
}

Errc ChunkDecoder::begin_value() noexcept {
    const std::string_view name = std::string_view(text_).substr(field_.name_begin);
    if (is_among(kRefusedTrailers, name)) {
        return Errc::malformed_chunk;
    }
    drops_field_ = is_among(kDroppedTrailers, name);
    field_.value_begin = static_cast<std::uint16_t>(text_.size());
    return go_to(State::trailer_value);
}

void ChunkDecoder::end_field() {
    if (drops_field_) {
        text_.resize(field_.name_begin);
        return;
    }
    while (field_.value_size != 0 && is_blank(text_.back())) {
        text_.pop_back();
        --field_.value_size;
    }
    fields_.push_back(field_);
}

}  // namespace coir::http
