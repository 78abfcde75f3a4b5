#pragma once

#include <string_view>

/// The character classes of RFC 9110 and RFC 9112 that llhttp leaves to us.
namespace coir::http::syntax {

/// A field name or a method: at least one `tchar` (RFC 9110, 5.6.2).
[[nodiscard]] bool is_token(std::string_view text) noexcept;
[[nodiscard]] bool is_token_char(char c) noexcept;

/// A field value without control characters; a tab is allowed (RFC 9110, 5.5).
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;
[[nodiscard]] bool is_field_char(char c) noexcept;

/// `uri-host [":" port]` (RFC 9110, 7.2; RFC 3986, 3.2.2): a name with whole %-triplets, an IPv4
/// address, or an IPv6 address in brackets; a port up to 65535. No user, no list, no path, and not
/// empty: no URI of the schemes http and https has an empty host.
[[nodiscard]] bool is_authority(std::string_view text) noexcept;

}  // namespace coir::http::syntax
