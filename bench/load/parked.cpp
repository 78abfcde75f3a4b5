// coir-parked: coir-server's routes, and beside them in the same process fibers that wait for one event and
// do nothing else, as many as it is asked for. What do they cost, and do connections still answer?
//
//     POST /parked?fibers=N    parks so many more
//     GET /parked              how many fibers of the runtime wait for something
//
// Options, signals and the allocator are coir-server's own. When it ends, every fiber that was parked has
// been let go and counted, or it says so and fails.

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/number.hpp"
#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "coir/http/router.hpp"
#include "coir/http/server.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/sync/event.hpp"
#include "coir/sync/wait_group.hpp"
#include "limits.hpp"
#include "options.hpp"
#include "routes.hpp"
#include "signals.hpp"

namespace coir::server {
namespace {

constexpr std::chrono::seconds kPatience{3};

/// Fibers that wait until they are let go.
class Parked final {
public:
    void add(std::size_t count) {
        for (std::size_t i = 0; i != count; ++i) {
            left_.add();
            try {
                spawn_detached({}, [this] {
                    go_.wait();
                    left_.done();
                });
            } catch (...) {
                left_.done();
                throw;
            }
        }
    }
    /// False if not all have gone in time.
    [[nodiscard]] bool let_go() {
        go_.set();
        return left_.wait_until(Deadline::after(kPatience)).has_value();
    }

private:
    Event go_;
    WaitGroup left_;
};

void add_routes(http::Router& routes, Parked& parked, const Runtime& runtime) {
    routes.post("/parked", [&](http::Request& request, http::Response& response) {
        for (const http::QueryParameter parameter : request.query()) {
            const auto count = parse_integer<std::size_t>(parameter.value);
            if (parameter.name != "fibers" || !count) {
                response.status(http::Status::bad_request);
                return;
            }
            parked.add(*count);
        }
        response.content_type(http::media::text_plain).body("ok");
    });
    routes.get("/parked", [&](http::Request&, http::Response& response) {
        response.content_type(http::media::text_plain)
            .body(std::to_string(runtime.stats().waiting));
    });
}

/// Called on a fiber.
int serve(const Options& options, const Runtime& runtime, StopSignals& stop_signals) {
    Parked parked;
    http::Router routes = make_routes();
    add_routes(routes, parked, runtime);
    http::Server server(std::move(routes));
    const auto address = server.listen(options.address).value().to_string();
    auto serving = spawn([&] { server.serve(); });
    std::printf("coir-parked listening on %s\n", address.c_str());
    std::fflush(stdout);

    stop_signals.wait().value();
    server.stop(Deadline::after(std::chrono::seconds(1)));
    serving.join();
    if (!parked.let_go()) {
        std::fputs("coir-parked: parked fibers did not go on\n", stderr);
        std::_Exit(EXIT_FAILURE);  // they refer to what would be gone
    }
    return EXIT_SUCCESS;
}

int run(const Options& options) {
    const std::size_t workers = options.workers != 0 ? options.workers : usable_cpus();
    raise_descriptor_limit(workers);
    StopSignals stop_signals;
    return coir::run({.workers = workers},
                     [&](Runtime& runtime) { return serve(options, runtime, stop_signals); });
}

}  // namespace
}  // namespace coir::server

int main(int argc, char** argv) {
    using namespace coir::server;
    try {
        const auto arguments = std::span<const char* const>(argv, static_cast<std::size_t>(argc));
        return run(parse_options(arguments.subspan(argc > 0 ? 1 : 0), std::getenv));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "coir-parked: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
