// The arena's requests, one at a time, however their bytes arrive.

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "server/arena_requests.hpp"
#include "server/expect_answer.hpp"
#include "support/server_process.hpp"
#include "support/tcp_client.hpp"

namespace coir::test {
namespace {

class ArenaRequest : public testing::TestWithParam<Exchange> {
protected:
    RunningServer server_;
    TcpClient client_{server_.port()};
};

TEST_P(ArenaRequest, IsAnsweredWhenItComesWhole) {
    for (int i = 0; i != 3; ++i) {
        client_.send(GetParam().request);
        expect_answer(client_, GetParam());
    }
    EXPECT_EQ(client_.unread(), "");
}

TEST_P(ArenaRequest, IsAnsweredWhenItComesByteByByte) {
    for (int i = 0; i != 3; ++i) {
        client_.send_byte_by_byte(GetParam().request);
        expect_answer(client_, GetParam());
    }
}

TEST_P(ArenaRequest, IsAnsweredWhereverItIsCut) {
    const std::string& request = GetParam().request;
    for (std::size_t cut = 1; cut != request.size(); ++cut) {
        SCOPED_TRACE(cut);
        client_.send_cut(request, std::span(&cut, 1));
        expect_answer(client_, GetParam());
    }
}

TEST_P(ArenaRequest, IsAnsweredWhereverItsBeginningIsCutOffTheOneBefore) {
    // The second request begins in the segment that ends the first.
    const std::string& request = GetParam().request;
    const std::string two = request + request;
    for (std::size_t extra = 0; extra != request.size(); ++extra) {
        SCOPED_TRACE(extra);
        const std::size_t cut = request.size() + extra;
        client_.send_cut(two, std::span(&cut, 1));
        expect_answer(client_, GetParam());
        expect_answer(client_, GetParam());
    }
}

INSTANTIATE_TEST_SUITE_P(, ArenaRequest, testing::ValuesIn(arena_exchanges()),
                         [](const auto& test) { return test.param.name; });

TEST(ArenaServer, AnswersEveryShapeWithOneWorkerAndWithSeveral) {
    for (const char* workers : {"1", "2", "5"}) {
        SCOPED_TRACE(workers);
        RunningServer server({"--workers", workers});
        for (int connection = 0; connection != 20; ++connection) {
            TcpClient client(server.port());
            for (const Exchange& exchange : arena_exchanges()) {
                client.send(exchange.request);
                expect_answer(client, exchange);
            }
        }
    }
}

TEST(ArenaServer, AnswersAnUnknownPathWith404AndGoesOn) {
    RunningServer server;
    TcpClient client(server.port());
    for (const char* path : {"/", "/baseline", "/baseline11/", "/baseline112", "/PIPELINE", "//",
                             "/pipeline/x?a=1", "/%70ipeline"}) {
        SCOPED_TRACE(path);
        client.send(request_for(path));
        EXPECT_EQ(client.receive().status, 404);
    }
    expect_alive(client);
}

TEST(ArenaServer, AnswersAWrongMethodWith405AndTheRightOnes) {
    RunningServer server;
    TcpClient client(server.port());
    client.send(post_of("20", "/pipeline"));
    const HttpReply to_post = client.receive();
    EXPECT_EQ(to_post.status, 405);
    EXPECT_EQ(to_post.field("Allow"), "GET, HEAD, OPTIONS");
    client.send(request_for("/baseline11?a=1", "DELETE"));
    const HttpReply to_delete = client.receive();
    EXPECT_EQ(to_delete.status, 405);
    EXPECT_EQ(to_delete.field("Allow"), "GET, HEAD, POST, OPTIONS");
    expect_alive(client);
}

TEST(ArenaServer, IgnoresTheBodyOfAGet) {
    RunningServer server;
    TcpClient client(server.port());
    client.send(
        "GET /baseline11?a=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n"
        "GET /pipeline HTTP/1");
    expect_text(client.receive(), 200, "1");
    expect_alive(client);
}

TEST(ArenaServer, SaysContinueToAClientThatWaitsForIt) {
    RunningServer server;
    TcpClient client(server.port());
    client.send(
        "POST /baseline11?a=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
        "Expect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.receive().status, 100);
    client.send("20");
    expect_text(client.receive(), 200, "21");
    expect_alive(client);
}

}  // namespace
}  // namespace coir::test
