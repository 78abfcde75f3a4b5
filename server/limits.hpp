#pragma once

#include <cstddef>

namespace coir::server {

/// Lets this process open as many descriptors as its hard limit allows, and makes sure that they are
/// enough for `workers`. Errors: throws std::system_error, std::runtime_error (too few).
void raise_descriptor_limit(std::size_t workers);

}  // namespace coir::server
