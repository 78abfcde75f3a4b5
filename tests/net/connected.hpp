#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "coir/base/syscall.hpp"
#include "coir/net/tcp_listener.hpp"
#include "coir/net/tcp_stream.hpp"
#include "support/patience.hpp"

namespace coir::test {

struct Connected {
    net::TcpStream client;
    net::TcpStream server;
};

/// A listener on a free port of the loopback device.
inline net::TcpListener listen_somewhere(const net::ListenOptions& options = {}) {
    return net::TcpListener::bind(net::SocketAddress::loopback(0), options).value();
}

/// Two ends of one connection.
inline Connected make_connection() {
    auto listener = listen_somewhere();
    auto client = net::TcpStream::connect(listener.local_address().value(), soon()).value();
    auto server = listener.accept(soon()).value();
    return {std::move(client), std::move(server)};
}

/// Buffers so small that a few kilobytes fill them. Both ends, before anything is sent.
inline void make_buffers_small(Connected& ends) {
    for (const int fd : {ends.client.native_handle(), ends.server.native_handle()}) {
        syscall::set_option(fd, SOL_SOCKET, SO_SNDBUF, 4096).value();
        syscall::set_option(fd, SOL_SOCKET, SO_RCVBUF, 4096).value();
    }
}

[[nodiscard]] inline std::span<const std::byte> as_bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

[[nodiscard]] inline std::span<std::byte> as_space_of(std::string& text) {
    return std::as_writable_bytes(std::span(text));
}

/// Everything until the end of the stream.
template <typename Stream>
std::string read_to_end(Stream& stream, std::size_t block = 16 * 1024) {
    std::string text;
    std::string part(block, '\0');
    for (;;) {
        const std::size_t size =
            stream.read_some(std::as_writable_bytes(std::span(part)), soon()).value();
        if (size == 0) {
            return text;
        }
        text.append(part, 0, size);
    }
}

/// Bytes that tell where they are.
inline std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i != size; ++i) {
        text[i] = static_cast<char>('a' + i * 7 % 26 + (i >> 12) % 5);
    }
    return text;
}

}  // namespace coir::test
