#pragma once

#include "coir/http/request.hpp"
#include "coir/http/response.hpp"

namespace coir::server {

/// GET /baseline11?a=13&b=42 -> "55": the sum of all values of the query, 0 without a query.
///
/// A value is a 64-bit decimal integer, percent-encoded or not. A parameter without one, any other
/// text, and a sum that leaves 64 bits on its way from left to right are a 400 that names the culprit.
void get_baseline(http::Request& request, http::Response& response);

/// The same, plus the integer in the body. Blanks and line ends around it are allowed, as command
/// line tools send them; an empty body is a 400.
/// Suspends: until the body has come.
void post_baseline(http::Request& request, http::Response& response);

}  // namespace coir::server
