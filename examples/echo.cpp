// An echo server: one fiber per connection, written as if it had the machine to itself.
//
//     ./coir-example-echo 7777   and then   nc 127.0.0.1 7777

#include <array>
#include <cstdio>

#include "coir/base/number.hpp"
#include "coir/net/tcp_listener.hpp"
#include "coir/runtime/runtime.hpp"

namespace {

using coir::Deadline;
using coir::net::SocketAddress;
using coir::net::TcpListener;
using coir::net::TcpStream;

void echo(TcpStream& stream) {
    std::array<std::byte, 1024> buffer;
    for (;;) {
        const auto read = stream.read_some(buffer, Deadline::after(std::chrono::minutes(1)));
        if (!read || *read == 0) {
            return;  // the peer has finished, or has been silent for a minute
        }
        const auto bytes = std::span(buffer).first(*read);
        if (!stream.write_all(bytes, Deadline::after(std::chrono::seconds(10)))) {
            return;
        }
    }
}

}  // namespace

int main(int argc, char** argv) try {
    const auto port = coir::parse_integer<std::uint16_t>(argc > 1 ? argv[1] : "7777").value();
    coir::run({}, [port] {
        auto listener = TcpListener::bind(SocketAddress::loopback(port)).value();
        std::printf("listening on %s\n", listener.local_address().value().to_string().c_str());
        std::fflush(stdout);
        while (auto stream = listener.accept(Deadline::never())) {
            coir::spawn_detached({.name = "echo"},
                                 [stream = *std::move(stream)]() mutable { echo(stream); });
        }
    });
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
