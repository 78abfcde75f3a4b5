#pragma once

#include <string_view>

#include "coir/http/request.hpp"

/// Fields behind a chunked body.
namespace coir::http::trailers {

/// False for names that frame or route a message, that say who asks, how to take it or its content:
/// whoever reads those has read them before the body, and a merge would change their meaning (RFC 9110,
/// 6.5.1).
[[nodiscard]] bool may_have(std::string_view name) noexcept;

/// Whether the client has said `TE: trailers`: else somebody on the way may drop them (RFC 9110, 6.5.1).
[[nodiscard]] bool are_wanted(const RequestHead& head) noexcept;

}  // namespace coir::http::trailers
