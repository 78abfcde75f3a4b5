// coir::http: the engine as a library. Serves one page and reads it back.
#include <array>
#include <chrono>
#include <coir/base/deadline.hpp>
#include <coir/http/request.hpp>
#include <coir/http/response.hpp>
#include <coir/http/router.hpp>
#include <coir/http/server.hpp>
#include <coir/net/tcp_stream.hpp>
#include <coir/runtime/runtime.hpp>
#include <coir/runtime/spawn.hpp>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>

std::string get(const coir::net::SocketAddress& address, std::string_view path) {
    const auto deadline = coir::Deadline::after(std::chrono::seconds(10));
    const std::string request =
        "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    auto stream = coir::net::TcpStream::connect(address, deadline).value();
    stream.write_all(std::as_bytes(std::span(request)), deadline).value();
    std::string answer;
    std::array<char, 256> bytes;
    const auto room = std::as_writable_bytes(std::span(bytes));
    while (const std::size_t size = stream.read_some(room, deadline).value()) {
        answer.append(bytes.data(), size);
    }
    return answer;
}

int main() try {
    coir::http::Router router;
    router.get("/hello/{name}", [](coir::http::Request& request, coir::http::Response& response) {
        response.body("hello, " + std::string(request.param("name")));
    });
    coir::Runtime runtime({.workers = 2});
    coir::http::Server server(std::move(router));
    const std::string answer = runtime.run([&] {
        const auto address = server.listen(coir::net::SocketAddress::loopback(0)).value();
        auto serving = coir::spawn([&] { server.serve(); });
        std::string text = get(address, "/hello/you");
        server.stop(coir::Deadline::after(std::chrono::seconds(1)));
        serving.join();
        return text;
    });
    const bool is_right =
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello, you");
    return is_right ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
