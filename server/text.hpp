#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace coir::server {

/// `text` fit to be shown to people, whoever wrote it: printable ASCII as it is, other bytes and the
/// backslash as \x1b, and at most the first `max_bytes` bytes, with "..." for the rest.
[[nodiscard]] std::string to_printable(std::string_view text, std::size_t max_bytes = 64);

}  // namespace coir::server
