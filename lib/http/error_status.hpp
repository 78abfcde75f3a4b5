#pragma once

#include <system_error>

#include "coir/http/status.hpp"

namespace coir::http {

/// The reply that tells a client about an error of ours: the one place where codes become statuses.
[[nodiscard]] Status status_for(std::error_code error) noexcept;

}  // namespace coir::http
