#pragma once

#include "coir/http/router.hpp"

namespace coir::server {

/// The endpoints of this server. Everything else is the engine's: 404, 405, HEAD.
[[nodiscard]] http::Router make_routes();

}  // namespace coir::server
