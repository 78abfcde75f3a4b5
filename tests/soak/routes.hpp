#pragma once

#include <cstddef>
#include <string>

#include "coir/http/router.hpp"
#include "coir/http/server.hpp"
#include "coir/runtime/runtime.hpp"

namespace coir::soak {

// What the routes and those who ask them agree on.
inline constexpr std::size_t kFileBytes = 200'000;
inline constexpr std::size_t kLargeBytes = 2'000'000;
inline constexpr std::size_t kFormBytes = 1000;  // /form takes no more

/// Text of that length which tells where in it a reader is.
[[nodiscard]] std::string pattern(std::size_t size);

/// What /stats tells about. Filled before the server serves.
struct Served {
    Runtime* runtime = nullptr;
    http::Server* server = nullptr;
};

/// Routes for most things that a handler can do, or do wrong. Throws what opening a file throws.
/// Requires: a fiber; `served` outlives the router.
[[nodiscard]] http::Router make_routes(const Served& served);

}  // namespace coir::soak
