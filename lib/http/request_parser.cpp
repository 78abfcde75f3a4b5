#include "request_parser.hpp"

#include <llhttp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "bytes.hpp"
#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "head_check.hpp"
#include "syntax.hpp"

namespace coir::http {
namespace {

// Of the registered methods, UPDATEREDIRECTREF has 17 letters.
constexpr std::size_t kLongestMethod = 32;

struct KnownMethod {
    std::uint8_t name_size;  // 0: not one of ours
    Method method;
};

constexpr auto kKnownMethods = [] {
    std::array<KnownMethod, 64> methods{};
    methods[HTTP_GET] = {3, Method::get};
    methods[HTTP_HEAD] = {4, Method::head};
    methods[HTTP_POST] = {4, Method::post};
    methods[HTTP_PUT] = {3, Method::put};
    methods[HTTP_PATCH] = {5, Method::patch};
    methods[HTTP_DELETE] = {6, Method::del};
    methods[HTTP_OPTIONS] = {7, Method::options};
    return methods;
}();

llhttp_t* as_llhttp(std::byte* storage) noexcept {
    return std::launder(reinterpret_cast<llhttp_t*>(storage));
}
const llhttp_t* as_llhttp(const std::byte* storage) noexcept {
    return std::launder(reinterpret_cast<const llhttp_t*>(storage));
}

}  // namespace

/// What llhttp calls while it parses. They only note where the pieces lie.
struct RequestParser::Callbacks {
    static RequestParser& self(llhttp_t* llhttp) noexcept {
        return *static_cast<RequestParser*>(llhttp->data);
    }
    static int fail(RequestParser& parser, Errc error) noexcept {
        parser.error_ = error;
        return HPE_USER;
    }

    static int on_url(llhttp_t* llhttp, const char* at, std::size_t size) noexcept {
        RequestParser& parser = self(llhttp);
        if (parser.target_size_ == 0) {
            parser.target_begin_ = static_cast<std::uint32_t>(at - parser.message_);
        }
        parser.target_size_ += static_cast<std::uint32_t>(size);
        return parser.target_size_ <= parser.max_target_bytes_
                   ? 0
                   : fail(parser, Errc::target_too_long);
    }
    static int on_header_field(llhttp_t* llhttp, const char* at, std::size_t size) noexcept {
        RequestParser& parser = self(llhttp);
        if (parser.name_size_ == 0) {
            if (size == 0) {
                return fail(parser, Errc::malformed_request);
            }
            parser.name_begin_ = static_cast<std::uint32_t>(at - parser.message_);
        }
        parser.name_size_ += static_cast<std::uint32_t>(size);
        return 0;
    }
    static int on_header_value(llhttp_t* llhttp, const char* at, std::size_t size) noexcept {
        RequestParser& parser = self(llhttp);
        const auto begin = static_cast<std::uint16_t>(at - parser.message_);
        if (parser.name_size_ == 0) [[unlikely]] {
            if (parser.field_count_ == 0) {
                return fail(parser, Errc::malformed_request);
            }
            HeaderSpan& field = parser.fields_[parser.field_count_ - 1];
            if (field.value_size == 0) {
                field.value_begin = begin;
            } else if (begin != field.value_begin + field.value_size) {
                return fail(parser, Errc::malformed_request);  // a folded line (RFC 9112, 5.2)
            }
            field.value_size = static_cast<std::uint16_t>(field.value_size + size);
            return 0;
        }
        if (parser.field_count_ == parser.max_header_fields_) {
            return fail(parser, Errc::header_too_large);
        }
        HeaderSpan& field = parser.fields_[parser.field_count_++];
        field.name_begin = static_cast<std::uint16_t>(parser.name_begin_);
        field.name_size = static_cast<std::uint16_t>(parser.name_size_);
        field.value_begin = begin;
        field.value_size = static_cast<std::uint16_t>(size);
        parser.name_size_ = 0;
        return 0;
    }
    static int pause(llhttp_t*) noexcept { return HPE_PAUSED; }

    static constexpr llhttp_settings_t head_settings() noexcept {
        llhttp_settings_t settings{};
        settings.on_url = on_url;
        settings.on_header_field = on_header_field;
        settings.on_header_value = on_header_value;
        settings.on_headers_complete = pause;
        return settings;
    }

    static const llhttp_settings_t kHead;
};

constinit const llhttp_settings_t RequestParser::Callbacks::kHead = head_settings();

RequestParser::RequestParser(const Limits& limits)
    : max_header_bytes_(
          static_cast<std::uint32_t>(std::min(limits.max_header_bytes, kMostHeaderBytes))),
      max_header_fields_(
          static_cast<std::uint32_t>(std::min(limits.max_header_fields, kMostHeaderBytes))),
      max_target_bytes_(
          static_cast<std::uint32_t>(std::min(limits.max_target_bytes, kMostHeaderBytes))),
      fields_(std::make_unique_for_overwrite<HeaderSpan[]>(max_header_fields_)),
      chunks_({limits.max_chunk_extension_bytes, max_header_bytes_, max_header_fields_}) {
    static_assert(sizeof(llhttp_t) <= sizeof llhttp_ && alignof(llhttp_t) <= 8);
    static_assert(kMostHeaderBytes + 2 * kMaxEmptyLines <= 0xffff);
    llhttp_t* const pristine = ::new (pristine_) llhttp_t;
    llhttp_init(pristine, HTTP_REQUEST, &Callbacks::kHead);
    pristine->data = this;
    ::new (llhttp_) llhttp_t;
    reset();
}

void RequestParser::reset() noexcept {
    // What llhttp_init() does costs three calls; this is a few moves.
    *as_llhttp(llhttp_) = *as_llhttp(pristine_);
    parsed_ = 0;
    line_begin_ = 0;
    target_size_ = 0;
    name_size_ = 0;
    field_count_ = 0;
    error_ = {};
    unknown_method_ = false;
    in_body_ = false;
}

// True once the request line has begun, at parsed_.
Result<bool> RequestParser::skip_empty_lines(std::string_view bytes) noexcept {
    while (parsed_ < bytes.size()) {
        if (bytes[parsed_] != '\r') {
            if (bytes[parsed_] == '\n') {
                return Errc::malformed_request;
            }
            return true;
        }
        if (bytes.size() - parsed_ < 2) {
            return false;
        }
        if (bytes[parsed_ + 1] != '\n' || parsed_ == 2 * kMaxEmptyLines) {
            return Errc::malformed_request;
        }
        parsed_ += 2;
        line_begin_ += 2;
    }
    return false;
}

// llhttp gives up at the first letter that no method has there. Only the byte behind the word tells
// a method that is not supported from bytes that are no request.
Result<RequestParser::Progress> RequestParser::name_method(std::string_view bytes) noexcept {
    parsed_ = line_begin_;
    while (parsed_ < bytes.size() && syntax::is_token_char(bytes[parsed_])) {
        ++parsed_;
    }
    const std::size_t size = parsed_ - line_begin_;
    if (size > kLongestMethod || size == 0) {
        return Errc::malformed_request;
    }
    if (parsed_ == bytes.size()) {
        return Progress::need_more;
    }
    return bytes[parsed_] == ' ' ? Errc::unsupported_method : Errc::malformed_request;
}

// Which refusal fits what llhttp stumbled over. Looks no further than `position`, so that the
// answer is the same whether more has arrived or not.
Errc RequestParser::explain(int llhttp_error, const char* position) const noexcept {
    if (error_ != Errc{}) {
        return error_;
    }
    switch (llhttp_error) {
        case HPE_INVALID_CONSTANT:  // a method of RTSP
            return kKnownMethods[as_llhttp(llhttp_)->method % kKnownMethods.size()].name_size == 0
                       ? Errc::unsupported_method
                       : Errc::malformed_request;
        case HPE_PAUSED_H2_UPGRADE: return Errc::unsupported_version;
        case HPE_INVALID_VERSION: {
            const char* const text = message_ + target_begin_ + target_size_;  // " HTTP/2.1"
            if (target_size_ != 0 && position - text >= 8 && std::memcmp(text, " HTTP/", 6) == 0 &&
                text[6] >= '0' && text[6] <= '9' && text[7] == '.' && text[8] >= '0' &&
                text[8] <= '9' && (text[6] != '1' || text[8] > '1')) {
                return Errc::unsupported_version;
            }
            return Errc::malformed_request;
        }
        default: break;
    }
    // llhttp reports a bad character in the value of a field before the field itself, unless that
    // came in several pieces.
    if (field_count_ == max_header_fields_ && name_size_ != 0 &&
        message_ + name_begin_ + name_size_ < position &&
        message_[name_begin_ + name_size_] == ':') {
        return Errc::header_too_large;
    }
    // A target that is too long and has a bad character behind its limit: llhttp reports the
    // character, and the target only if it came in several pieces.
    const std::string_view line(message_ + line_begin_,
                                static_cast<std::size_t>(position - message_) - line_begin_);
    const std::size_t blank = line.find(' ');
    if (blank != std::string_view::npos && line.find(' ', blank + 1) == std::string_view::npos &&
        line.find('\n') == std::string_view::npos && line.size() - blank - 1 > max_target_bytes_) {
        return Errc::target_too_long;
    }
    return Errc::malformed_request;
}

// The request line, byte for byte: llhttp lets repeated blanks, bare line feeds, other protocols
// and HTTP/0.9 pass, each in some version.
[[gnu::always_inline]] inline Errc RequestParser::check_request_line(
    RequestHead& head) const noexcept {
    const llhttp_t* const llhttp = as_llhttp(llhttp_);
    const KnownMethod method = kKnownMethods[llhttp->method % kKnownMethods.size()];
    const std::uint32_t target_end = target_begin_ + target_size_;
    head.method = method.method;
    if (target_begin_ == line_begin_ + method.name_size + 1 && method.name_size != 0 &&
        parsed_ - target_end > head_check::kVersionTailBytes) [[likely]] {
        const char* const tail = message_ + target_end;
        if (head_check::is_version_tail(tail, '1')) [[likely]] {
            head.version = Version::http_1_1;
            return {};
        }
        if (head_check::is_version_tail(tail, '0')) {
            head.version = Version::http_1_0;
            return {};
        }
    }
    if (llhttp->http_major != 1 || llhttp->http_minor > 1) {
        return Errc::unsupported_version;
    }
    return method.name_size == 0 ? Errc::unsupported_method : Errc::malformed_request;
}

// A Host is checked character by character only if it is not the one that was found valid last.
[[gnu::always_inline]] inline bool RequestParser::is_valid_host(std::string_view host) noexcept {
    if (host.size() == known_host_size_ &&
        bytes::equal(host.data(), known_host_, known_host_size_)) {
        return true;
    }
    if (!syntax::is_authority(host)) {
        return false;
    }
    if (!host.empty() && host.size() <= sizeof known_host_) {
        known_host_size_ = static_cast<std::uint8_t>(host.size());
        std::memcpy(known_host_, host.data(), host.size());
    }
    return true;
}

[[gnu::always_inline]] inline Errc RequestParser::finish_head(RequestHead& head) noexcept {
    using head_check::KnownFields;
    if (const Errc error = check_request_line(head); error != Errc{}) {
        return error;
    }
    KnownFields known;
    if (!head_check::check_fields(message_,
                                  target_begin_ + target_size_ + head_check::kVersionTailBytes,
                                  parsed_, fields_.get(), fields_.get() + field_count_, known)) {
        return Errc::malformed_request;
    }
    const bool is_1_1 = head.version == Version::http_1_1;
    head.chunked = false;
    head.content_length.reset();
    head.expects_continue = false;
    head.keep_alive = is_1_1;
    head.target = {message_ + target_begin_, target_size_};
    head.authority = known.host;
    if (known.hosts != 1 && (known.hosts != 0 || is_1_1)) {
        return Errc::malformed_request;
    }
    const unsigned flags = as_llhttp(llhttp_)->flags;
    if (known.seen != 0 || (flags & (F_CHUNKED | F_CONTENT_LENGTH)) != 0) {
        std::optional<std::uint64_t> length;
        if ((flags & F_CONTENT_LENGTH) != 0) {
            length = as_llhttp(llhttp_)->content_length;
        }
        if (const Errc error =
                head_check::check_framing(known, (flags & F_CHUNKED) != 0, length, head);
            error != Errc{}) {
            return error;
        }
        head.keep_alive = !known.close && (is_1_1 || known.keep_alive);
        head.expects_continue = known.has(KnownFields::kExpect) && is_1_1;
    }
    if (!is_valid_host(known.host) || !head_check::split_target(head.target, head)) {
        return Errc::malformed_request;
    }
    if (head.expects_continue && (known.has_two(KnownFields::kExpect) ||
                                  !equals_ignoring_case(known.expect, "100-continue"))) {
        return Errc::expectation_failed;
    }
    head.headers = Headers(message_, fields_.get(), field_count_);
    return {};
}

Result<RequestParser::Progress> RequestParser::parse_head(std::string_view bytes,
                                                          RequestHead& head) noexcept {
    if (parsed_ != line_begin_) [[unlikely]] {
        if (unknown_method_) {
            return name_method(bytes);
        }
    } else if (bytes.empty() || bytes[parsed_] <= '\r') {
        COIR_TRY(const bool begun, skip_empty_lines(bytes));
        if (!begun) {
            return Progress::need_more;
        }
    }
    message_ = bytes.data();
    const std::size_t limit = line_begin_ + max_header_bytes_;
    const std::size_t end = std::min(bytes.size(), limit);
    llhttp_t* const llhttp = as_llhttp(llhttp_);
    const int error = llhttp_execute(llhttp, message_ + parsed_, end - parsed_);
    if (error == HPE_PAUSED) {
        parsed_ = static_cast<std::size_t>(llhttp->error_pos - message_);
        const Errc failure = finish_head(head);
        if (failure != Errc{}) {
            return failure;
        }
        return Progress::head_complete;
    }
    if (error != HPE_OK) {
        if (error == HPE_INVALID_METHOD) {
            unknown_method_ = true;
            return name_method(bytes);
        }
        return explain(error, llhttp->error_pos);
    }
    parsed_ = end;
    if (end == limit) {
        return Errc::header_too_large;
    }
    return Progress::need_more;
}

Result<RequestParser::Decoded> RequestParser::decode_chunks(std::span<const std::byte> bytes,
                                                            std::byte* into) noexcept {
    if (!in_body_) {
        in_body_ = true;
        chunks_.begin();
    }
    return chunks_.decode(bytes, into);
}

}  // namespace coir::http
