// What is no request, or too large: refused on its own connection, unnoticed by the others.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "coir/http/server.hpp"
#include "server/arena_requests.hpp"
#include "server/expect_answer.hpp"
#include "support/server_process.hpp"
#include "support/tcp_client.hpp"

namespace coir::test {
namespace {

/// Whatever is answered, and however it ends.
void wait_for_any_end(TcpClient& client) {
    try {
        client.finish_sending();
        (void)client.receive_rest();
    } catch (const std::system_error&) {
    }
}

class Refusal : public testing::Test {
protected:
    void SetUp() override { expect_alive(neighbour_); }
    void TearDown() override {
        expect_alive(neighbour_);
        {
            TcpClient late(server_.port());
            expect_alive(late);
        }
        server_.stop();
    }

    void expect_refusal(const std::string& bytes, int status) {
        SCOPED_TRACE(bytes.substr(0, 200));
        TcpClient client(server_.port());
        (void)client.try_send(bytes);
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.status, status);
        EXPECT_TRUE(reply.says_close());
        client.finish_sending();
        client.expect_end();
    }

    const http::ServerOptions limits_;
    RunningServer server_;
    TcpClient neighbour_{server_.port()};
};

TEST_F(Refusal, MalformedRequestsGet400) {
    const std::string get = "GET /pipeline HTTP/1.1\r\n";
    for (const std::string& bytes : std::vector<std::string>{
             "GET broken HTTP/1.1\r\n\r\n",
             "GET\r\n\r\n",
             "GET  /pipeline HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET pipeline HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /pip\x01line HTTP/1.1\r\nHost: a\r\n\r\n",
             get + "\r\n",
             get + "Host: a\r\nHost: b\r\n\r\n",
             get + "Host: a\r\nno colon\r\n\r\n",
             get + "Host: a\r\nbad name: x\r\n\r\n",
             get + "Host: a\r\n: x\r\n\r\n",
             get + "Host: a\r\nX: a\r\n folded\r\n\r\n",
             get + "Host: a\r\nX: a\rb\r\n\r\n",
             get + std::string("Host: a\r\nX: a\0b\r\n\r\n", 18),
             get + "Host: a\r\nContent-Length: x\r\n\r\n",
             get + "Host: a\r\nContent-Length: -1\r\n\r\n",
             get + "Host: a\r\nContent-Length: 1, 2\r\n\r\nab",
             get + "Host: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
             get + "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
         }) {
        expect_refusal(bytes, 400);
    }
}

TEST_F(Refusal, ABrokenChunkGets400) {
    const std::string post =
        "POST /baseline11 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const char* body : {"x\r\n", "-1\r\n", "2\r\n20x\r\n", "fffffffffffffffff\r\n"}) {
        expect_refusal(post + body, 400);
    }
}

TEST_F(Refusal, ATargetOverItsLimitGets414) {
    const std::string begin = "/baseline11?a=";
    const std::string fits(limits_.max_target_bytes - begin.size(), '0');
    neighbour_.send(request_for(begin + fits));
    expect_text(neighbour_.receive(), 200, "0");
    expect_refusal(request_for(begin + fits + '0'), 414);
    expect_refusal("GET /" + std::string(4 * limits_.max_header_bytes, 'a'), 414);
}

TEST_F(Refusal, AHeadOverItsLimitGets431) {
    const std::string begin = "GET /pipeline HTTP/1.1\r\nHost: a\r\nX: ";
    const std::string fits(limits_.max_header_bytes - begin.size() - 4, 'x');
    neighbour_.send(begin + fits + "\r\n\r\n");
    expect_text(neighbour_.receive(), 200, "ok");
    expect_refusal(begin + fits + "x\r\n\r\n", 431);
    expect_refusal(begin + std::string(16 * limits_.max_header_bytes, 'x'), 431);
}

TEST_F(Refusal, TooManyFieldsGet431) {
    std::string request = "GET /pipeline HTTP/1.1\r\nHost: a\r\n";
    for (std::size_t i = 1; i != limits_.max_header_fields; ++i) {
        request += "X: y\r\n";
    }
    neighbour_.send(request + "\r\n");
    expect_text(neighbour_.receive(), 200, "ok");
    expect_refusal(request + "X: y\r\n\r\n", 431);
}

TEST_F(Refusal, ABodyOverItsLimitGets413) {
    const std::string fits(limits_.max_body_bytes, '0');
    neighbour_.send(post_of(fits, "/baseline11?a=1"));
    expect_text(neighbour_.receive(), 200, "1");
    expect_refusal(post_of(fits + '0', "/baseline11?a=1"), 413);
    expect_refusal(
        "POST /baseline11 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "ffffff\r\n" +
            fits + '0',
        413);
}

TEST_F(Refusal, AnUnknownMethodGets501AndAnUnknownVersion505) {
    expect_refusal("BREW /pipeline HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    expect_refusal("GET /pipeline HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    expect_refusal("GET /pipeline\r\n\r\n", 400);  // HTTP/0.9 was no version of this syntax
}

TEST_F(Refusal, GarbageEndsOnlyItsOwnConnection) {
    constexpr unsigned kSeed = 977;
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    std::minstd_rand random(kSeed);
    const std::vector<Exchange> shapes = arena_exchanges();
    for (int i = 0; i != 2000; ++i) {
        std::string bytes;
        if (i % 2 == 0) {
            bytes.resize(random() % 3000);
            std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
        } else {
            // A good burst with a few bytes changed.
            for (int n = 0; n != 4; ++n) {
                bytes += shapes[random() % shapes.size()].request;
            }
            for (int n = 0; n != 3; ++n) {
                bytes[random() % bytes.size()] = static_cast<char>(random());
            }
        }
        TcpClient client(server_.port());
        (void)client.try_send(bytes);
        if (random() % 4 == 0) {
            client.reset();
        } else {
            wait_for_any_end(client);
        }
    }
}

}  // namespace
}  // namespace coir::test
