// Many requests in flight on one connection.

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "server/arena_requests.hpp"
#include "server/expect_answer.hpp"
#include "support/server_process.hpp"
#include "support/tcp_client.hpp"

namespace coir::test {
namespace {

/// `depth` requests of all shapes in turn, each with a number of its own in its answer.
std::vector<Exchange> mixed_burst(std::size_t depth) {
    const std::vector<Exchange> shapes = arena_exchanges();
    std::vector<Exchange> burst;
    for (std::size_t i = 0; i != depth; ++i) {
        Exchange exchange = shapes[i % shapes.size()];
        const std::size_t query = exchange.request.find("a=13");
        if (query != std::string::npos) {
            exchange.request.replace(query, 4, "a=" + std::to_string(13 + i));
            exchange.body = std::to_string(std::stoul(exchange.body) + i);
        }
        burst.push_back(exchange);
    }
    return burst;
}

std::string join(const std::vector<Exchange>& burst) {
    std::string bytes;
    for (const Exchange& exchange : burst) {
        bytes += exchange.request;
    }
    return bytes;
}

class Pipelining : public testing::TestWithParam<std::size_t> {
protected:
    RunningServer server_;
    const std::vector<Exchange> burst_ = mixed_burst(GetParam());
};

TEST_P(Pipelining, AnswersComeInTheOrderOfTheRequests) {
    TcpClient client(server_.port());
    for (int round = 0; round != 10; ++round) {
        client.send(join(burst_));
        for (const Exchange& exchange : burst_) {
            expect_answer(client, exchange);
        }
        ASSERT_EQ(client.unread(), "");
    }
}

TEST_P(Pipelining, AClientMayReadSlowly) {
    TcpClient client(server_.port(), 4096);
    client.read_at_most(7);
    for (int round = 0; round != 3; ++round) {
        client.send(join(burst_));
        for (const Exchange& exchange : burst_) {
            expect_answer(client, exchange);
        }
    }
}

TEST_P(Pipelining, RequestsMayBeCutAnywhereInTheBurst) {
    // Pieces of 97 bytes: the cuts walk through every part of a request.
    TcpClient client(server_.port());
    const std::string bytes = join(burst_);
    std::vector<std::size_t> cuts;
    for (std::size_t cut = 97; cut < bytes.size(); cut += 97) {
        cuts.push_back(cut);
    }
    client.send_cut(bytes, cuts);
    for (const Exchange& exchange : burst_) {
        expect_answer(client, exchange);
    }
}

TEST_P(Pipelining, AllAreAnsweredAfterTheClientHasFinishedSending) {
    TcpClient client(server_.port());
    client.send(join(burst_));
    client.finish_sending();
    for (const Exchange& exchange : burst_) {
        const HttpReply reply = exchange.is_head ? client.receive_to_head() : client.receive();
        expect_text(reply, 200, exchange.is_head ? "" : exchange.body);
    }
    client.expect_end();
}

INSTANTIATE_TEST_SUITE_P(, Pipelining, testing::Values(1, 16, 256),
                         [](const auto& test) { return "Deep" + std::to_string(test.param); });

TEST(PipeliningWithoutEnd, AClientThatSendsMoreThanItReadsIsWaitedFor) {
    RunningServer server;
    TcpClient client(server.port(), 4096);
    const std::vector<Exchange> burst = mixed_burst(64);
    constexpr int kBursts = 500;
    std::thread sender([&] {
        const std::string bytes = join(burst);
        for (int i = 0; i != kBursts; ++i) {
            client.send(bytes);
        }
    });
    for (int i = 0; i != kBursts; ++i) {
        for (const Exchange& exchange : burst) {
            expect_answer(client, exchange);
        }
    }
    sender.join();
    EXPECT_EQ(client.unread(), "");
}

TEST(PipeliningWithoutEnd, NothingAfterABadRequestIsAnswered) {
    RunningServer server;
    TcpClient client(server.port());
    client.send(request_for("/pipeline") + request_for("/nowhere") + request_for("/pipeline") +
                "GET broken HTTP/1.1\r\n\r\n" + request_for("/pipeline"));
    EXPECT_EQ(client.receive().status, 200);
    EXPECT_EQ(client.receive().status, 404);
    EXPECT_EQ(client.receive().status, 200);
    const HttpReply refusal = client.receive();
    EXPECT_EQ(refusal.status, 400);
    EXPECT_TRUE(refusal.says_close());
    client.expect_end();
}

}  // namespace
}  // namespace coir::test
