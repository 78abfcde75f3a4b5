// coir-uneven: a server whose requests differ a lot, to see what work stealing is worth.
//
// GET /quick answers at once; GET /slow first uses the processor for --slow-us microseconds, without
// a look at the fibers that wait, as a handler does that compresses, renders or signs. With --steal 0
// the workers leave each other alone. GET /stats answers the runtime's counters.

#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "coir/http/server.hpp"
#include "coir/runtime/runtime.hpp"
#include "command_line.hpp"

namespace {

struct Options {
    const char* host = "127.0.0.1";
    int port = 0;
    int workers = 0;
    int steal = 1;
    int slow_us = 1000;
};

bool read_options(int argc, char** argv, Options& options) {
    const bool are_known = coir::bench::read_command_line(argc, argv,
                                                          {{"--host", &options.host},
                                                           {"--port", &options.port},
                                                           {"--workers", &options.workers},
                                                           {"--steal", &options.steal},
                                                           {"--slow-us", &options.slow_us}});
    return are_known && options.port >= 0 && options.port <= 65535 && options.workers >= 0 &&
           options.slow_us >= 0;
}

/// What this thread has used, so that time in which others had the processor does not count.
std::chrono::nanoseconds processor_time() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

void compute(std::chrono::microseconds work) {
    const auto end = processor_time() + work;
    while (processor_time() < end) {
    }
}

std::string counters(const coir::RuntimeStats& stats) {
    return "switches=" + std::to_string(stats.switches) + " polls=" + std::to_string(stats.polls) +
           " steals=" + std::to_string(stats.steals) + " wakeups=" + std::to_string(stats.wakeups) +
           " migrations=" + std::to_string(stats.migrations);
}

void serve(const Options& options) {
    // Each worker on a processor of its own: the kernel would put two of them on one for a while.
    coir::Runtime runtime({.workers = static_cast<std::size_t>(options.workers),
                           .pin_workers = true,
                           .steal = options.steal != 0});
    coir::http::Router router;
    router.get("/quick", [](coir::http::Request&, coir::http::Response& response) {
        response.content_type(coir::http::media::text_plain).body_static("ok");
    });
    router.get("/slow", [&options](coir::http::Request&, coir::http::Response& response) {
        compute(std::chrono::microseconds(options.slow_us));
        response.content_type(coir::http::media::text_plain).body_static("ok");
    });
    router.get("/stats", [&runtime](coir::http::Request&, coir::http::Response& response) {
        response.content_type(coir::http::media::text_plain).body(counters(runtime.stats()));
    });
    runtime.run([&] {
        coir::http::Server server(std::move(router));
        const auto port = static_cast<std::uint16_t>(options.port);
        const auto address =
            server.listen(coir::net::SocketAddress::parse(options.host, port).value()).value();
        std::printf("coir-uneven listening on %s\n", address.to_string().c_str());
        std::fflush(stdout);
        server.serve();
    });
}

}  // namespace

int main(int argc, char** argv) try {
    Options options;
    if (!read_options(argc, argv, options)) {
        std::fprintf(stderr,
                     "usage: coir-uneven [--host 127.0.0.1] [--port 0] [--workers 0] [--steal 1]\n"
                     "                   [--slow-us 1000]\n");
        return 2;
    }
    serve(options);
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "coir-uneven: %s\n", error.what());
    return 1;
}
