#pragma once

#include "coir/http/request.hpp"
#include "coir/http/response.hpp"

namespace coir::server {

/// GET /pipeline -> "ok".
void get_pipeline(http::Request& request, http::Response& response);

}  // namespace coir::server
