// How connections begin and end.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/arena_requests.hpp"
#include "server/expect_answer.hpp"
#include "support/server_process.hpp"
#include "support/tcp_client.hpp"

namespace coir::test {
namespace {

TEST(Connection, TwoHundredOfTenRequestsOneAfterAnother) {
    RunningServer server;
    const std::vector<Exchange> shapes = arena_exchanges();
    std::size_t next = 0;
    for (int connection = 0; connection != 200; ++connection) {
        TcpClient client(server.port());
        for (int request = 0; request != 10; ++request) {
            const Exchange& exchange = shapes[next++ % shapes.size()];
            client.send(exchange.request);
            expect_answer(client, exchange);
        }
    }
}

TEST(Connection, ManyAtATimeDoNotMixTheirAnswers) {
    RunningServer server;
    std::vector<TcpClient> clients;
    for (int i = 0; i != 500; ++i) {
        clients.emplace_back(server.port());
    }
    for (int round = 0; round != 4; ++round) {
        for (std::size_t i = 0; i != clients.size(); ++i) {
            clients[i].send(request_for("/baseline11?a=" + std::to_string(i)));
        }
        for (std::size_t i = clients.size(); i-- != 0;) {
            expect_text(clients[i].receive(), 200, std::to_string(i));
        }
    }
}

TEST(Connection, EndsAfterTheAnswerToConnectionClose) {
    RunningServer server;
    for (const char* value : {"close", "Close", "x, close"}) {
        SCOPED_TRACE(value);
        TcpClient client(server.port());
        client.send("GET /pipeline HTTP/1.1\r\nHost: a\r\nConnection: " + std::string(value) +
                    "\r\n\r\n" + request_for("/pipeline"));
        const HttpReply reply = client.receive();
        expect_text(reply, 200, "ok");
        EXPECT_TRUE(reply.says_close());
        client.expect_end();
    }
}

TEST(Connection, OfAnOldClientEndsAfterItsAnswer) {
    RunningServer server;
    TcpClient client(server.port());
    client.send("GET /pipeline HTTP/1.0\r\n\r\n");
    const HttpReply reply = client.receive();
    expect_text(reply, 200, "ok");
    EXPECT_TRUE(reply.says_close());
    client.expect_end();
}

TEST(Connection, OfAnOldClientStaysIfItAsksForThat) {
    RunningServer server;
    TcpClient client(server.port());
    for (int i = 0; i != 3; ++i) {
        client.send("GET /pipeline HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const HttpReply reply = client.receive();
        expect_text(reply, 200, "ok");
        EXPECT_EQ(reply.field("Connection"), "keep-alive");
    }
}

TEST(Connection, EndsWhenTheClientHasFinishedSending) {
    RunningServer server;
    TcpClient idle(server.port());
    idle.finish_sending();
    idle.expect_end();

    TcpClient used(server.port());
    expect_alive(used);
    used.finish_sending();
    used.expect_end();
}

TEST(Connection, EndsWithoutAnAnswerToHalfARequest) {
    RunningServer server;
    for (const Exchange& exchange : arena_exchanges()) {
        SCOPED_TRACE(exchange.name);
        TcpClient client(server.port());
        client.send(exchange.request.substr(0, exchange.request.size() - 1));
        client.finish_sending();
        const std::string rest = client.receive_rest();
        EXPECT_EQ(rest.find("HTTP/1.1 200"), std::string::npos) << rest;
    }
}

TEST(Connection, ThatIsResetLeavesItsNeighboursAlone) {
    RunningServer server;
    TcpClient neighbour(server.port());
    expect_alive(neighbour);
    for (const Exchange& exchange : arena_exchanges()) {
        for (const std::size_t size : {std::size_t{0}, std::size_t{5}, exchange.request.size() / 2,
                                       exchange.request.size()}) {
            TcpClient client(server.port());
            client.send(exchange.request.substr(0, size));
            client.reset();
        }
        expect_alive(neighbour);
    }
}

}  // namespace
}  // namespace coir::test
