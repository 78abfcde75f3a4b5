// A server whose clients may leave HTTP for a protocol of their own: "shout" sends back in capitals
// what it gets. A WebSocket layer does the same with frames.
//
//     ./coir-example-upgrade 8080   and then, ending with Ctrl-C,
//     (printf 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n'; cat) | nc 127.0.0.1 8080

#include <array>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <span>
#include <stop_token>
#include <string_view>
#include <system_error>

#include "coir/base/number.hpp"
#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "coir/http/server.hpp"
#include "coir/http/upgraded_stream.hpp"
#include "coir/runtime/runtime.hpp"

namespace {

using coir::Deadline;
using coir::http::Request;
using coir::http::Response;
using coir::http::UpgradedStream;

void shout(UpgradedStream& client) {
    const auto stops = client.stop_token();
    const std::stop_callback on_stop(stops, [&] { client.stream().wake_reader(); });
    std::array<char, 1024> room;
    const auto bytes = std::as_writable_bytes(std::span(room));
    const auto soon = [] { return Deadline::after(std::chrono::seconds(10)); };
    while (!stops.stop_requested() &&
           client.wait_readable(Deadline::after(std::chrono::minutes(1)))) {
        const auto read = client.try_read_some(bytes);
        if (!read && read.error() == std::errc::operation_would_block) {
            continue;  // it was the stop that has ended the wait
        }
        if (!read || *read == 0) {
            return;
        }
        for (char& letter : std::span(room).first(*read)) {
            letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
        }
        if (!client.stream().write_all(bytes.first(*read), soon())) {
            return;
        }
    }
    constexpr std::string_view kGoodbye = "GOODBYE\n";
    (void)client.stream().write_all(std::as_bytes(std::span(kGoodbye)), soon());
}

}  // namespace

int main(int argc, char** argv) try {
    const auto port = coir::parse_integer<std::uint16_t>(argc > 1 ? argv[1] : "8080").value();
    coir::http::Router router;
    router.get("/", [](Request&, Response& response) {
        if (!response.upgrade("shout", shout)) {
            response.status(coir::http::Status::upgrade_required).body("Shout, please.\n");
            (void)response.header("Upgrade", "shout");
        }
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
