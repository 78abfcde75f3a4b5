#include "routes.hpp"

#include "handlers/baseline.hpp"
#include "handlers/pipeline.hpp"

namespace coir::server {

http::Router make_routes() {
    http::Router routes;
    routes.get("/baseline11", get_baseline);
    routes.post("/baseline11", post_baseline);
    routes.get("/pipeline", get_pipeline);
    return routes;
}

}  // namespace coir::server
