#pragma once

#include <string_view>

#include "coir/http/request.hpp"

/// Offers of a client to leave HTTP on its connection (RFC 9110, 7.8).
namespace coir::http::upgrade {

/// Whether the client offers `protocol`, a name or "name/version". Not on HTTP/1.0, where the field
/// must be ignored, nor without the connection option, without which it was not for this server.
/// And not beside `Connection: close`, which may be ignored like any offer: the two contradict each
/// other.
[[nodiscard]] bool is_offered(const RequestHead& head, std::string_view protocol) noexcept;

}  // namespace coir::http::upgrade
