#include "handlers/pipeline.hpp"

namespace coir::server {

void get_pipeline(http::Request&, http::Response& response) {
    response.content_type(http::media::text_plain).body_static("ok");
}

}  // namespace coir::server
