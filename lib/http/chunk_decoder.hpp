#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/base/result.hpp"
#include "coir/http/headers.hpp"

namespace coir::http {

/// Takes the chunked coding off a body, by the letter of RFC 9112, 7.1.
///
/// The problem: two recipients that read the same chunks differently see different requests behind
/// them. So nothing is left to taste: lines end with CR LF, a size has kMaxSizeDigits at most,
/// extensions and trailers keep to their grammar, and trailers cannot say anything about framing.
/// Each byte is judged once and in order: the outcome does not depend on how they were split.
class ChunkDecoder final {
public:
    struct Limits {
        std::size_t max_extension_bytes;  // of all chunks of a body together, with ';' and blanks
        std::size_t max_trailer_bytes;    // lines and empty line; 65,000 at most
        std::size_t max_trailer_fields;
    };
    /// Leading zeros included: such a number fits 64 bits.
    static constexpr int kMaxSizeDigits = 16;

    struct Decoded {
        std::size_t consumed;  // of the bytes given
        std::size_t written;   // bytes of the body
        bool complete;         // the last chunk and the trailer section have been seen
    };

    explicit ChunkDecoder(const Limits& limits) noexcept : limits_(limits) {}

    /// Begins the next body, which may be of any size.
    void begin() noexcept;
    /// The body may have so many bytes in all, those that have been decoded included. A chunk that
    /// goes beyond is refused for its size line: so it does not matter how much of it has come.
    void limit(std::uint64_t max_bytes) noexcept { max_bytes_ = max_bytes; }

    /// Decodes what has arrived and writes it to `into`, which has room for `bytes.size()` and may
    /// begin before `bytes` in the same memory; null leaves it out.
    ///
    /// Errors:   malformed_chunk, body_too_large (the body or its extensions over their limit),
    ///           header_too_large (trailers over theirs), not_enough_memory. After an error only
    ///           begin() may be called.
    /// Requires: begin() was called, and the last call was not complete.
    /// Cost:     allocates for trailers only.
    [[nodiscard]] Result<Decoded> decode(std::span<const std::byte> bytes,
                                         std::byte* into) noexcept;

    /// The fields of the trailer section, in order, without those that mean nothing behind a body;
    /// none before the body is complete. The views live until begin().
    [[nodiscard]] Headers trailers() const noexcept {
        return state_ == State::complete ? Headers(text_.data(), fields_.data(), fields_.size())
                                         : Headers();
    }

private:
    // What the next byte belongs to.
    enum class State : std::uint8_t {
        first_digit,
        digits,
        blanks_before_extension,  // only ';' ends them
        extension_name_begin,
        extension_name,
        blanks_after_name,
        extension_value_begin,
        extension_token,
        extension_quoted,
        extension_escaped,
        extension_quoted_end,
        size_line_feed,
        data,
        data_return,
        data_line_feed,
        trailer_begin,
        trailer_name,
        trailer_value,
        trailer_line_feed,
        last_line_feed,
        complete,
    };

    // These return Errc{} where there is nothing to object to.
    [[nodiscard]] Errc take(char c) noexcept;
    [[nodiscard]] Errc take_digit(char c) noexcept;
    [[nodiscard]] Errc take_extension(char c) noexcept;
    [[nodiscard]] Errc end_extension_part(char c) noexcept;
    [[nodiscard]] Errc begin_chunk() noexcept;
    [[nodiscard]] Errc take_trailer(char c);
    [[nodiscard]] Errc begin_value() noexcept;
    [[nodiscard]] Errc go_to(State state) noexcept {
        state_ = state;
        return {};
    }
    void end_field();

    Limits limits_;
    State state_ = State::complete;
    std::uint8_t digits_ = 0;          // of the size that is being read
    bool drops_field_ = false;         // the one that is being read
    std::uint64_t left_ = 0;           // of the chunk
    std::uint64_t max_bytes_ = 0;      // of this body
    std::uint64_t bytes_ = 0;          // in the chunks that have begun
    std::size_t extension_bytes_ = 0;  // of this body
    std::size_t trailer_bytes_ = 0;
    std::size_t trailer_fields_ = 0;  // with those that are dropped
    HeaderSpan field_{};              // the one that is being read; its sizes grow

    // Names and values, one behind the other. The connection's buffers move on; trailers do not.
    std::string text_;
    std::vector<HeaderSpan> fields_;
};

}  // namespace coir::http
