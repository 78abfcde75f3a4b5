#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "coir/base/error.hpp"
#include "coir/http/upgraded_stream.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

/// Clients that leave HTTP for "echo", and the server's side of it.
namespace coir::http::test {

inline constexpr std::string_view kOffer = "Connection: Upgrade\r\nUpgrade: echo\r\n";

[[nodiscard]] inline std::string ask(std::string_view more = kOffer,
                                     std::string_view start = "GET /echo HTTP/1.1") {
    return std::string(start) + "\r\nHost: a\r\n" + std::string(more) + "\r\n";
}

[[nodiscard]] inline std::span<const std::byte> as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

/// Sends back what comes, until the client has finished.
inline void echo(UpgradedStream& client) {
    std::array<std::byte, 7> piece;
    for (;;) {
        const auto size = client.read_some(piece, kNever);
        if (!size || *size == 0 ||
            !client.stream().write_all(std::span(piece).first(*size), kNever)) {
            return;
        }
    }
}

/// "/echo" leaves HTTP for echo, or says why not. "/1" is an ordinary route.
[[nodiscard]] inline Router echo_routes() {
    Router routes;
    const auto handler = [](Request&, Response& response) {
        const auto upgraded = response.upgrade("echo", echo);
        response.body(upgraded ? "dropped" : upgraded.error().message());
    };
    routes.get("/echo", handler).post("/echo", handler);
    routes.get("/1", say_path);
    return routes;
}

[[nodiscard]] inline std::string message(Errc error) {
    return make_error_code(error).message();
}

inline void expect_101(const coir::test::HttpReply& reply) {
    EXPECT_EQ(reply.version, "HTTP/1.1");
    EXPECT_EQ(reply.status, 101);
    EXPECT_EQ(reply.reason, "Switching Protocols");
    EXPECT_EQ(reply.field("Upgrade"), "echo");
    EXPECT_EQ(reply.field("Connection"), "upgrade");
    for (const char* const none : {"Content-Length", "Transfer-Encoding", "Content-Type"}) {
        EXPECT_EQ(reply.field(none), std::nullopt) << none;
    }
}

/// What comes back of `sent` when nothing more is sent behind it.
[[nodiscard]] inline std::string echo_of(coir::test::TcpClient& client, std::string_view sent) {
    client.send(sent);
    client.finish_sending();
    return client.receive_rest();
}

}  // namespace coir::http::test
