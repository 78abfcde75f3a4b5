#include "serve.hpp"

#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "coir/base/deadline.hpp"
#include "coir/http/server.hpp"
#include "coir/net/address.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/signals.hpp"
#include "coir/runtime/spawn.hpp"
#include "listening.hpp"
#include "routes.hpp"

namespace coir::soak {
namespace {

using std::chrono::seconds;

http::ServerOptions short_tempered() {
    http::ServerOptions options;
    options.header_timeout = kHeaderTimeout;
    options.body_timeout = kBodyTimeout;
    options.write_timeout = kWriteTimeout;
    options.idle_timeout = kIdleTimeout;
    options.linger_timeout = kLingerTimeout;
    options.max_requests_per_connection = kMaxRequests;
    return options;
}

}  // namespace

int serve(std::size_t workers) {
    auto signals = SignalStream::open({SIGTERM, SIGINT}).value();
    Runtime runtime({.workers = workers});
    return runtime.run([&] {
        std::atomic<std::uint64_t> errors{0};
        http::ServerOptions options = short_tempered();
        options.on_error = [&](const http::ServerError&) { ++errors; };
        Served served;
        http::Server server(make_routes(served), std::move(options));
        served = {.runtime = &runtime, .server = &server};

        std::uint16_t port = 0;
        for (std::size_t i = 0; i < kAddresses; ++i) {
            port = server.listen(listening_address(i, port)).value().port();
        }
        auto serving = spawn([&] { server.serve(); });
        std::printf("listening on port %u\n", unsigned{port});
        std::fflush(stdout);

        (void)signals.next(Deadline::never()).value();
        server.stop(Deadline::after(seconds(10)));
        serving.join();
        const http::ServerStats stats = server.stats();
        std::printf("ended: %llu open, %llu fibers, %llu errors told\n",
                    static_cast<unsigned long long>(stats.open),
                    static_cast<unsigned long long>(runtime.stats().alive()),
                    static_cast<unsigned long long>(errors.load()));
        return EXIT_SUCCESS;
    });
}

}  // namespace coir::soak
