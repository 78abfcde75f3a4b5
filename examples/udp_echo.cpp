// A UDP echo server that answers whole batches: one system call to receive, one to send.
//
//     ./coir-example-udp_echo 7777   and then   nc -u 127.0.0.1 7777

#include <cstdio>
#include <span>
#include <vector>

#include "coir/base/number.hpp"
#include "coir/net/udp_socket.hpp"
#include "coir/runtime/runtime.hpp"

namespace {

using coir::Deadline;
using coir::net::IncomingDatagram;
using coir::net::OutgoingDatagram;
using coir::net::SocketAddress;
using coir::net::UdpSocket;

constexpr std::size_t kDatagramBytes = 2048;

void echo(UdpSocket& socket) {
    // All memory is ours, and is used again for each batch.
    std::vector<std::byte> space(UdpSocket::kMaxBatch * kDatagramBytes);
    std::vector<IncomingDatagram> in(UdpSocket::kMaxBatch);
    std::vector<OutgoingDatagram> out;
    for (std::size_t i = 0; i != in.size(); ++i) {
        in[i].space = std::span(space).subspan(i * kDatagramBytes, kDatagramBytes);
    }
    for (;;) {
        const auto count = socket.receive_batch(in, Deadline::never());
        if (!count) {
            return;
        }
        out.clear();
        for (const auto& datagram : std::span(in).first(*count)) {
            if (!datagram.received.is_truncated()) {
                out.push_back({datagram.bytes(), &datagram.from});
            }
        }
        // UDP promises nothing: what cannot be sent, or not within a second, is dropped.
        const auto deadline = Deadline::after(std::chrono::seconds(1));
        for (std::span<const OutgoingDatagram> left = out; !left.empty();) {
            std::size_t sent = 0;
            const auto done = socket.send_batch(left, sent, deadline);
            left = left.subspan(done ? sent : sent + 1);
        }
    }
}

}  // namespace

int main(int argc, char** argv) try {
    const auto port = coir::parse_integer<std::uint16_t>(argc > 1 ? argv[1] : "7777").value();
    coir::run({}, [port] {
        auto socket = UdpSocket::bind(SocketAddress::loopback(port)).value();
        std::printf("listening on %s\n", socket.local_address().value().to_string().c_str());
        std::fflush(stdout);
        echo(socket);
    });
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
