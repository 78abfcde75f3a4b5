#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "chunk_decoder.hpp"
#include "coir/base/error.hpp"
#include "coir/base/result.hpp"
#include "coir/http/request.hpp"

namespace coir::http {

namespace head_check {
struct KnownFields;
}

/// Turns bytes into requests, as strict as RFC 9112 allows a server to be.
///
/// The pieces of a plain head that has come as a whole are found by plain_head.hpp in one pass, those
/// of any other by llhttp, which this class alone knows. What llhttp (8.1 and 9.x, which differ) lets
/// pass is refused here: each such head is checked line by line against what llhttp reported. What
/// the pieces mean together, and where the body ends, is decided here and by ChunkDecoder alone.
///
/// While a head is arriving only offsets are kept, so the bytes may move between two calls. The
/// outcome does not depend on how the bytes were split.
class RequestParser final {
public:
    struct Limits {
        std::size_t max_header_bytes;  // request line to empty line; 65,000 at most
        std::size_t max_header_fields;
        std::size_t max_target_bytes;
        std::size_t max_chunk_extension_bytes = 16 * 1024;  // of all chunks of a body
        bool trusts_https_targets = false;                  // a TLS proxy stands in front
        bool leaves_all_to_llhttp = false;  // plain heads too, for tests that compare the two
    };
    /// The most that Limits::max_header_bytes can be: HeaderSpan counts in 16 bits.
    static constexpr std::size_t kMostHeaderBytes = 65'000;
    /// Empty lines that are ignored before a request line (RFC 9112, 2.2).
    static constexpr std::size_t kMaxEmptyLines = 4;

    enum class Progress { need_more, head_complete };

    using Decoded = ChunkDecoder::Decoded;

    /// Limits over kMostHeaderBytes are cut to it.
    explicit RequestParser(const Limits& limits);
    RequestParser(const RequestParser&) = delete;
    RequestParser& operator=(const RequestParser&) = delete;

    /// Begins the next message.
    void reset() noexcept {
        parsed_ = 0;
        in_body_ = false;
    }

    /// Parses the head of a message. `bytes` is all of the message that has arrived: each call
    /// gives the same bytes again and what came since. Fills `head` when it is complete; the views
    /// then point into `bytes`.
    ///
    /// Errors: malformed_request, header_too_large, target_too_long, unsupported_version,
    ///         unsupported_method, unsupported_coding, expectation_failed, misdirected_request.
    ///         After an error only reset() may be called.
    [[nodiscard]] Result<Progress> parse_head(std::string_view bytes, RequestHead& head) noexcept;
    /// How many bytes the complete head took, with the empty lines before it.
    [[nodiscard]] std::size_t head_bytes() const noexcept { return parsed_; }

    /// As ChunkDecoder::decode(), with the limits of heads for trailers, and `max_bytes` for the
    /// body in all.
    /// Requires: the head said chunked, and the last call was not complete.
    [[nodiscard]] Result<Decoded> decode_chunks(std::span<const std::byte> bytes, std::byte* into,
                                                std::uint64_t max_bytes) noexcept;
    /// As ChunkDecoder::trailers(); the views live until reset() and the next chunked body.
    [[nodiscard]] Headers trailers() const noexcept {
        return in_body_ ? chunks_.trailers() : Headers();
    }

private:
    struct Callbacks;
    // What is known of the request line; kept for heads only that do not come at once.
    enum class Line : std::uint8_t { unseen, unknown_to_llhttp, method_known, good };

    [[nodiscard]] Result<bool> skip_empty_lines(std::string_view bytes) noexcept;
    // What can be said against a head before it is complete; no error if nothing can. Cold: a head
    // that comes at once and is good does not pay for them.
    [[nodiscard, gnu::cold]] std::error_code judge_method(std::string_view bytes) noexcept;
    [[nodiscard, gnu::cold]] std::error_code judge_part(std::size_t end, int llhttp_error) noexcept;
    [[nodiscard, gnu::cold]] std::error_code refuse_whole(Errc failure) noexcept;
    [[nodiscard]] std::error_code judge(std::string_view bytes, std::size_t from) noexcept;
    [[nodiscard]] bool has_good_line_ends(std::string_view bytes, std::size_t from) const noexcept;
    [[nodiscard]] std::error_code refuse(std::string_view bytes, int llhttp_error) noexcept;
    // These return Errc{} where there is nothing to object to.
    [[nodiscard]] Errc judge_line(std::string_view bytes) noexcept;
    [[nodiscard]] Errc check_request_line(RequestHead& head) const noexcept;
    [[nodiscard]] bool is_valid_host(const head_check::KnownFields& known) noexcept;
    [[nodiscard]] Errc finish_head(const char* message, std::uint32_t field_count,
                                   const head_check::KnownFields& known,
                                   RequestHead& head) noexcept;
    [[nodiscard]] Errc finish_by_llhttp(RequestHead& head) noexcept;

    [[nodiscard]] bool take_plain(std::string_view bytes, RequestHead& head) noexcept;
    void begin_by_llhttp() noexcept;
    [[nodiscard, gnu::noinline]] Result<Progress> parse_by_llhttp(std::string_view bytes,
                                                                  RequestHead& head) noexcept;

    // llhttp_t, whose header stays in the source: the one at work, and one as llhttp_init() makes
    // it.
    alignas(8) std::byte llhttp_[128];
    alignas(8) std::byte pristine_[128];

    // The message that is being parsed; offsets count from its first byte.
    const char* message_ = nullptr;  // only during a call
    std::size_t parsed_ = 0;         // bytes that have been seen, with the empty lines
    std::uint32_t line_begin_ = 0;   // the request line, after empty lines
    std::uint32_t target_begin_ = 0;
    std::uint32_t target_size_ = 0;
    std::uint32_t name_begin_ = 0;  // of a field whose name is not complete
    std::uint32_t name_size_ = 0;
    std::uint32_t field_count_ = 0;
    Errc error_{};  // why a callback has stopped llhttp

    bool in_body_ = false;
    Line line_ = Line::unseen;

    // The Host that was found valid last: nearly every request names the same one. Never empty.
    std::uint8_t known_host_size_ = 1;
    char known_host_[63] = {'a'};

    bool trusts_https_targets_;
    std::uint32_t max_header_bytes_;
    std::uint32_t max_plain_bytes_;
    std::uint32_t max_header_fields_;
    std::uint32_t max_target_bytes_;
    std::unique_ptr<HeaderSpan[]> fields_;
    ChunkDecoder chunks_;
};

}  // namespace coir::http
