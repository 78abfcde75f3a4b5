#pragma once

#include <cstdint>

namespace coir::http {

/// The protocol versions this engine speaks; others are answered with 505.
enum class Version : std::uint8_t { http_1_0, http_1_1 };

}  // namespace coir::http
