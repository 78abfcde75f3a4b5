#pragma once

#include <system_error>

namespace coir {

/// Failures that std::errc has no name for. Codes from the kernel keep std::system_category().
enum class Errc {
    unexpected_eof = 1,        ///< A stream or file ended where more bytes were promised.
    malformed_address,         ///< The text is no IP address or no port.
    malformed_number,          ///< The text is no decimal integer.
    number_out_of_range,       ///< The integer does not fit its type.
    malformed_request,         ///< The bytes are no HTTP/1.1 request (RFC 9112).
    malformed_chunk,           ///< The chunked coding is broken (RFC 9112, 7.1).
    unsupported_version,       ///< An HTTP version other than 1.0 and 1.1.
    unsupported_method,        ///< A method this server does not know.
    unsupported_coding,        ///< A transfer coding before the final chunked.
    header_too_large,          ///< Head or trailers are over their limit in bytes or in fields.
    target_too_long,           ///< The request target is over its limit.
    body_too_large,            ///< The body is over its limit, or what chunks say beside it.
    expectation_failed,        ///< An Expect other than 100-continue.
    misdirected_request,       ///< An https target on a connection without TLS.
    response_already_started,  ///< The head of the response has been sent.
    body_length_mismatch,      ///< A handler wrote more or fewer bytes than it promised.
    invalid_field,             ///< A header name or value that would break the message.
    upgrade_not_offered,       ///< The client has not offered to change to that protocol.
    channel_closed,            ///< The channel is closed, and empty for a receiver.
    not_a_fiber,               ///< The call needs a fiber of a running runtime.
    runtime_stopped,           ///< The runtime is stopping or has stopped.
};

[[nodiscard]] const std::error_category& coir_category() noexcept;
[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

}  // namespace coir

template <>
struct std::is_error_code_enum<coir::Errc> : std::true_type {};
