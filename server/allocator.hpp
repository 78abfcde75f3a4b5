#pragma once

#include <string>

namespace coir::server {

/// Which allocator this program was built with: "mimalloc 2.0.9", or "the system's allocator".
[[nodiscard]] std::string allocator_name();

}  // namespace coir::server
