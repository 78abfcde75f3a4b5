#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "server/arena_requests.hpp"
#include "support/http_reply.hpp"
#include "support/tcp_client.hpp"

namespace coir::test {

inline void expect_text(const HttpReply& reply, int status, std::string_view body) {
    EXPECT_EQ(reply.status, status);
    EXPECT_EQ(reply.body, body);
    EXPECT_EQ(reply.field("Content-Type"), "text/plain");
}

/// Reads the answer to `exchange` and compares it.
inline void expect_answer(TcpClient& client, const Exchange& exchange) {
    SCOPED_TRACE(exchange.name);
    const HttpReply reply = exchange.is_head ? client.receive_to_head() : client.receive();
    expect_text(reply, 200, exchange.is_head ? "" : exchange.body);
    EXPECT_EQ(reply.version, "HTTP/1.1");
    EXPECT_EQ(reply.field("Content-Length"), std::to_string(exchange.body.size()));
    EXPECT_TRUE(reply.field("Date"));
    EXPECT_FALSE(reply.says_close());
}

/// The connection still works.
inline void expect_alive(TcpClient& client) {
    client.send(request_for("/pipeline"));
    expect_text(client.receive(), 200, "ok");
}

}  // namespace coir::test
