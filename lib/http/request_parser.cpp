#include "request_parser.hpp"

#include <llhttp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "bytes.hpp"
#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "head_check.hpp"
#include "plain_head.hpp"
#include "syntax.hpp"

namespace coir::http {
namespace {

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
    : trusts_https_targets_(limits.trusts_https_targets),
      max_header_bytes_(
          static_cast<std::uint32_t>(std::min(limits.max_header_bytes, kMostHeaderBytes))),
      max_plain_bytes_(limits.leaves_all_to_llhttp ? 0 : max_header_bytes_),
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
    // Both lengths in one head are refused here; llhttp would do it sooner or later, by its version.
    llhttp_set_lenient_chunked_length(pristine, 1);
    ::new (llhttp_) llhttp_t;
}

// Not in reset(): few heads come so far.
void RequestParser::begin_by_llhttp() noexcept {
    *as_llhttp(llhttp_) = *as_llhttp(pristine_);  // what llhttp_init() does costs three calls
    line_begin_ = 0;
    target_size_ = 0;
    name_size_ = 0;
    field_count_ = 0;
    error_ = {};
    line_ = Line::unseen;
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

// Looks at the method alone, up to the byte behind it: a token and a blank are a request with a
// method that may not be supported, anything else is no request. The versions of llhttp know
// different methods; so the answer comes here, and at the same byte.
std::error_code RequestParser::judge_method(std::string_view bytes) noexcept {
    const std::size_t limit = line_begin_ + max_header_bytes_;
    const std::string_view line = bytes.substr(0, limit).substr(line_begin_);
    // llhttp stops at the first letter that none of its methods has there; what has been looked at
    // since lies before parsed_.
    std::size_t size = line_ == Line::unknown_to_llhttp ? parsed_ - line_begin_ : 0;
    while (size < line.size() && syntax::is_token_char(line[size])) {
        ++size;
    }
    if (size == line.size()) {
        if (line_begin_ + size == limit) {
            return Errc::unsupported_method;  // longer than any (RFC 9112, 3)
        }
        if (line_ == Line::unknown_to_llhttp) {
            parsed_ = line_begin_ + size;
        }
        return {};
    }
    if (size == 0 || line[size] != ' ') {
        return Errc::malformed_request;
    }
    const std::string_view method = line.substr(0, size);
    if (method == "PRI") {
        return Errc::unsupported_version;  // the preface of HTTP/2 begins with it
    }
    if (!parse_method(method)) {
        return Errc::unsupported_method;
    }
    if (line_ == Line::unknown_to_llhttp) {
        return Errc::malformed_request;
    }
    line_ = Line::method_known;
    return {};
}

// The rest of the request line, as far as `bytes` go: the versions of llhttp find different things
// wrong with it, at different bytes.
Errc RequestParser::judge_line(std::string_view bytes) noexcept {
    std::string_view rest = bytes.substr(line_begin_);
    rest.remove_prefix(rest.find(' ') + 1);
    const auto visible = [](char c) { return c > ' ' && c < 0x7f; };
    const auto target_size = static_cast<std::size_t>(
        std::find_if_not(rest.begin(), rest.end(), visible) - rest.begin());
    if (target_size > max_target_bytes_) {
        return Errc::target_too_long;
    }
    rest.remove_prefix(target_size);
    constexpr std::string_view kForm = " HTTP/d.d\r\n";
    for (std::size_t i = 0; i < kForm.size(); ++i) {
        if (i == rest.size()) {
            return {};  // so far, so good
        }
        const bool fits = kForm[i] == 'd' ? rest[i] >= '0' && rest[i] <= '9' : rest[i] == kForm[i];
        if (!fits || target_size == 0) {
            return Errc::malformed_request;
        }
        if (i == 8 && (rest[6] != '1' || rest[8] > '1')) {
            return Errc::unsupported_version;
        }
    }
    line_ = Line::good;
    return {};
}

// Whether lines end with CR LF, and none begins with a blank, from one byte to another: llhttp 8 sees
// that only when the head is complete.
bool RequestParser::has_good_line_ends(std::string_view bytes, std::size_t from) const noexcept {
    for (std::size_t i = std::max<std::size_t>(from, line_begin_ + 1); i < bytes.size(); ++i) {
        const char before = bytes[i - 1];
        if ((before == '\r') != (bytes[i] == '\n') ||
            (before == '\n' && head_check::is_blank(bytes[i]))) {
            return false;
        }
    }
    return true;
}

// What can be said against the part of a head that has come, whose bytes before `from` have been
// looked at already.
std::error_code RequestParser::judge(std::string_view bytes, std::size_t from) noexcept {
    if (line_ == Line::unseen || line_ == Line::unknown_to_llhttp) {
        if (const auto error = judge_method(bytes)) {
            return error;
        }
    }
    if (line_ == Line::method_known) {
        if (const Errc error = judge_line(bytes); error != Errc{}) {
            return error;
        }
    }
    return has_good_line_ends(bytes, from) ? std::error_code() : Errc::malformed_request;
}

// Which refusal fits what llhttp stumbled over. Looks no further than it has, so that the answer is
// the same whether more has arrived or not.
std::error_code RequestParser::refuse(std::string_view bytes, int llhttp_error) noexcept {
    const auto position = static_cast<std::size_t>(as_llhttp(llhttp_)->error_pos - message_);
    const std::size_t seen = position + (llhttp_error == HPE_USER ? 0 : 1);
    if (const auto error = judge(bytes.substr(0, seen), line_begin_)) {
        return error;
    }
    if (error_ != Errc{}) {
        return error_;
    }
    // llhttp reports a bad character in the value of a field before the field itself, unless that
    // came in several pieces.
    if (field_count_ == max_header_fields_ && name_size_ != 0 &&
        name_begin_ + name_size_ < position && bytes[name_begin_ + name_size_] == ':') {
        return Errc::header_too_large;
    }
    return Errc::malformed_request;
}

// llhttp has stopped at the end of what may be looked at, or at an error.
std::error_code RequestParser::judge_part(std::size_t end, int llhttp_error) noexcept {
    const std::string_view bytes(message_, end);
    if (llhttp_error == HPE_INVALID_METHOD) {
        line_ = Line::unknown_to_llhttp;
        parsed_ = line_begin_;
        return judge_method(bytes);
    }
    if (llhttp_error != HPE_OK) {
        return refuse(bytes, llhttp_error);
    }
    if (const auto failure = judge(bytes, std::exchange(parsed_, end))) {
        return failure;
    }
    return end == line_begin_ + max_header_bytes_ ? Errc::header_too_large : std::error_code();
}

// The head is complete, and was refused for `failure`. What is wrong with its lines comes first: that
// is what would have been said, had it come in pieces.
std::error_code RequestParser::refuse_whole(Errc failure) noexcept {
    const auto error = judge({message_, parsed_}, line_begin_);
    return error ? error : make_error_code(failure);
}

// The request line, byte for byte: llhttp lets repeated blanks, bare line feeds, other protocols
// and lines without a version pass, each in some version of its own.
[[gnu::always_inline]] inline Errc RequestParser::check_request_line(
    RequestHead& head) const noexcept {
    const llhttp_t* const llhttp = as_llhttp(llhttp_);
    const KnownMethod method = kKnownMethods[llhttp->method % kKnownMethods.size()];
    const std::uint32_t target_end = target_begin_ + target_size_;
    head.method = method.method;
    // A method that is not ours has no size here, and no target begins so early.
    if (target_begin_ == line_begin_ + method.name_size + 1 &&
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
    return Errc::malformed_request;
}

// A Host is checked character by character only if it is not the one that was found valid last.
[[gnu::always_inline]] inline bool RequestParser::is_valid_host(
    const head_check::KnownFields& known) noexcept {
    const std::string_view host = known.host;
    if (host.size() == known_host_size_ &&
        bytes::equal(host.data(), known_host_, known_host_size_)) {
        return true;
    }
    if (!syntax::is_authority(host)) {
        return known.hosts == 0;
    }
    if (host.size() <= sizeof known_host_) {
        known_host_size_ = static_cast<std::uint8_t>(host.size());
        std::memcpy(known_host_, host.data(), host.size());
    }
    return true;
}

// What the fields say together, once they have been found. Inline in both ways that lead here.
[[gnu::always_inline]] inline Errc RequestParser::finish_head(const char* message,
                                                              std::uint32_t field_count,
                                                              const head_check::KnownFields& known,
                                                              RequestHead& head) noexcept {
    const bool is_1_1 = head.version == Version::http_1_1;
    head.chunked = false;
    head.content_length.reset();
    head.expects_continue = false;
    head.keep_alive = is_1_1;
    head.authority = known.host;
    if (known.hosts != 1 && (known.hosts != 0 || is_1_1)) {
        return Errc::malformed_request;
    }
    if (known.seen != 0) {
        if (const Errc error = head_check::check_framing(known, head); error != Errc{}) {
            return error;
        }
        head.keep_alive = !known.close && (is_1_1 || known.keep_alive);
        head.expects_continue = known.expects_continue && is_1_1;
    }
    if (!is_valid_host(known)) {
        return Errc::malformed_request;
    }
    head.headers = Headers(message, fields_.get(), field_count);
    return {};
}

[[gnu::always_inline]] inline bool RequestParser::take_plain(std::string_view bytes,
                                                             RequestHead& head) noexcept {
    head_check::KnownFields known;
    std::uint32_t field_count = 0;
    const std::uint32_t size = plain_head::take<byte_scan::Best>(
        bytes.substr(0, max_plain_bytes_), {max_header_fields_, max_target_bytes_}, head,
        fields_.get(), field_count, known);
    if (size == 0 || finish_head(bytes.data(), field_count, known, head) != Errc{} ||
        known.expects_more) [[unlikely]] {
        return false;
    }
    parsed_ = size;
    return true;
}

Result<RequestParser::Progress> RequestParser::parse_head(std::string_view bytes,
                                                          RequestHead& head) noexcept {
    // Once per head at most: llhttp, which gets it else, then has seen some of it.
    if (parsed_ == 0 && take_plain(bytes, head)) [[likely]] {
        return Progress::head_complete;
    }
    return parse_by_llhttp(bytes, head);
}

Errc RequestParser::finish_by_llhttp(RequestHead& head) noexcept {
    if (const Errc error = check_request_line(head); error != Errc{}) {
        return error;
    }
    head_check::KnownFields known;
    if (!head_check::check_fields(message_,
                                  target_begin_ + target_size_ + head_check::kVersionTailBytes,
                                  parsed_, fields_.get(), fields_.get() + field_count_, known)) {
        return Errc::malformed_request;
    }
    head.target = {message_ + target_begin_, target_size_};
    if (const Errc error = finish_head(message_, field_count_, known, head); error != Errc{}) {
        return error;
    }
    if (const Errc error = head_check::split_target(head.target, trusts_https_targets_, head);
        error != Errc{}) {
        return error;
    }
    return known.expects_more && head.version == Version::http_1_1 ? Errc::expectation_failed
                                                                   : Errc{};
}

// Also a plain head that is refused comes here, so that one code says for which fault.
Result<RequestParser::Progress> RequestParser::parse_by_llhttp(std::string_view bytes,
                                                               RequestHead& head) noexcept {
    if (parsed_ == 0) {
        begin_by_llhttp();
    }
    if (parsed_ != line_begin_) [[unlikely]] {
        if (line_ == Line::unknown_to_llhttp) {
            if (const auto failure = judge_method(bytes)) {
                return failure;
            }
            return Progress::need_more;
        }
    } else if (bytes.size() <= parsed_ || bytes[parsed_] <= '\r') {
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
    if (error == HPE_PAUSED) [[likely]] {
        parsed_ = static_cast<std::size_t>(llhttp->error_pos - message_);
        const Errc failure = finish_by_llhttp(head);
        if (failure != Errc{}) {
            return refuse_whole(failure);
        }
        return Progress::head_complete;
    }
    if (const std::error_code failure = judge_part(end, error)) {
        return failure;
    }
    return Progress::need_more;
}

Result<RequestParser::Decoded> RequestParser::decode_chunks(std::span<const std::byte> bytes,
                                                            std::byte* into,
                                                            std::uint64_t max_bytes) noexcept {
    if (!in_body_) {
        in_body_ = true;
        chunks_.begin();
    }
    chunks_.limit(max_bytes);
    return chunks_.decode(bytes, into);
}

}  // namespace coir::http
