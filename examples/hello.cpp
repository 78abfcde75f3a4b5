// The smallest HTTP server: one route with a parameter.
//
//     ./coir-example-hello 8080   and then   curl 127.0.0.1:8080/hello/world

#include <cstdio>
#include <string>

#include "coir/base/number.hpp"
#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "coir/http/server.hpp"
#include "coir/runtime/runtime.hpp"

int main(int argc, char** argv) try {
    const auto port = coir::parse_integer<std::uint16_t>(argc > 1 ? argv[1] : "8080").value();
    coir::http::Router router;
    router.get("/hello/{name}", [](coir::http::Request& request, coir::http::Response& response) {
        response.body("hello, " + std::string(request.param("name")) + "\n");
    });
    coir::run({}, [&] {
        coir::http::Server server(std::move(router));
        const auto address = server.listen(coir::net::SocketAddress::loopback(port)).value();
        std::printf("listening on %s\n", address.to_string().c_str());
        std::fflush(stdout);
        server.serve();
    });
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
