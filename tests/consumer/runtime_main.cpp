// coir::runtime alone: fibers and TCP, without HTTP. Says hello to an echo of its own.
#include <array>
#include <chrono>
#include <coir/base/deadline.hpp>
#include <coir/net/tcp_listener.hpp>
#include <coir/net/tcp_stream.hpp>
#include <coir/runtime/runtime.hpp>
#include <coir/runtime/spawn.hpp>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <string_view>

using coir::net::SocketAddress;
using coir::net::TcpListener;
using coir::net::TcpStream;

bool is_echoed(std::string_view text) {
    const auto deadline = coir::Deadline::after(std::chrono::seconds(10));
    auto listener = TcpListener::bind(SocketAddress::loopback(0)).value();
    auto echo = coir::spawn([&] {
        auto stream = listener.accept(deadline).value();
        std::array<std::byte, 64> bytes;
        while (const std::size_t size = stream.read_some(bytes, deadline).value()) {
            stream.write_all(std::span(bytes).first(size), deadline).value();
        }
    });
    auto stream = TcpStream::connect(listener.local_address().value(), deadline).value();
    stream.write_all(std::as_bytes(std::span(text)), deadline).value();
    std::array<char, 64> answer;
    const auto room = std::span(answer).first(text.size());
    stream.read_exact(std::as_writable_bytes(room), deadline).value();
    stream.shutdown(coir::net::Shutdown::write).value();
    echo.join();
    return std::string_view(room.data(), room.size()) == text;
}

int main() try {
    coir::Runtime runtime({.workers = 2});
    return runtime.run([] { return is_echoed("hello"); }) ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
