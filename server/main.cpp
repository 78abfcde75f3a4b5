// coir-server: the arena's endpoints on coir's HTTP engine.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>

#include "allocator.hpp"
#include "coir/base/deadline.hpp"
#include "coir/http/server.hpp"
#include "coir/runtime/runtime.hpp"
#include "limits.hpp"
#include "options.hpp"
#include "routes.hpp"
#include "signals.hpp"

namespace coir::server {

namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

/// For the requests that have begun when the server is told to stop. Orchestrators kill after 10 to
/// 30 s.
constexpr std::chrono::seconds kStopPatience{10};

void say(std::FILE* stream, const std::string& line) {
    std::fputs(("coir-server" + line + '\n').c_str(), stream);
    std::fflush(stream);
}

/// Called on a fiber.
int serve(const Options& options, std::size_t workers, StopSignals& stop_signals) {
    http::Server server(make_routes());
    const auto address = server.listen(options.address);
    if (!address) {
        say(stderr,
            ": cannot listen on " + options.address.to_string() + ": " + address.error().message());
        return kExitFailure;
    }
    auto serving = spawn([&] {
        try {
            server.serve();
        } catch (...) {
            stop_signals.end_wait();  // join() below collects it
            throw;
        }
    });
    say(stdout, " listening on " + address->to_string() + ", " + std::to_string(workers) +
                    (workers == 1 ? " worker, " : " workers, ") + allocator_name());

    const auto waited = stop_signals.wait();
    server.stop(Deadline::after(kStopPatience));
    StopSignals::exit_on_next(kExitFailure);
    serving.join();
    waited.value();
    return EXIT_SUCCESS;
}

int run(const Options& options) {
    const std::size_t workers = options.workers != 0 ? options.workers : usable_cpus();
    raise_descriptor_limit(workers);
    StopSignals stop_signals;  // before the first thread
    return coir::run({.workers = workers}, [&] { return serve(options, workers, stop_signals); });
}

}  // namespace

}  // namespace coir::server

int main(int argc, char** argv) {
    using namespace coir::server;
    try {
        const auto arguments = std::span<const char* const>(argv, static_cast<std::size_t>(argc));
        const Options options = parse_options(arguments.subspan(argc > 0 ? 1 : 0), std::getenv);
        if (options.help) {
            std::fputs(usage().data(), stdout);
            return EXIT_SUCCESS;
        }
        return run(options);
    } catch (const UsageError& error) {
        say(stderr, std::string(": ") + error.what());
        return kExitUsage;
    } catch (const std::exception& error) {
        say(stderr, std::string(": ") + error.what());
        return kExitFailure;
    }
}
