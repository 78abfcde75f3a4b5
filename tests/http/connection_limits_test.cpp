#include "http/connection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "coir/runtime/this_fiber.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::HttpReply;
using coir::test::soon;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using test::chunked;
using test::get;
using test::post;
using test::sample_router;
using test::Served;

TEST(Connection, AMalformedRequestIsAnsweredAndHurtsNobodyElse) {
    Served served(sample_router());
    TcpClient other(served.port());
    other.send(get("/1"));
    EXPECT_EQ(other.receive().body, "/1");
    TcpClient client(served.port());
    client.send(get("/1") + "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n" + get("/2"));
    EXPECT_EQ(client.receive().body, "/1");
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 400);
    EXPECT_TRUE(reply.says_close());
    client.expect_end();
    other.send(get("/2"));
    EXPECT_EQ(other.receive().body, "/2");
    EXPECT_EQ(served.stats().bad_requests, 1U);
}

TEST(Connection, ARefusalReachesAClientThatIsStillSending) {
    ServerOptions options;
    options.max_body_bytes = 1000;
    Served served(sample_router(), options);
    TcpClient client(served.port());
    // More than the sockets' buffers hold while nobody reads. Lingering once ended after 256 KiB, and a
    // client that sends before it reads saw a reset.
    client.send(post("/whole", std::string(50'000'000, 'x')));
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 413);
    EXPECT_TRUE(reply.says_close());
    EXPECT_EQ(client.receive_rest(), "");
}

// Sends as fast as the server takes it, as long as that lasts.
class Flooder final {
public:
    explicit Flooder(TcpClient& client)
        : thread_([&client](const std::stop_token& stop) {
              const std::string much(100'000, 'x');
              while (!stop.stop_requested() && client.try_send(much)) {
              }
          }) {}

private:
    std::jthread thread_;
};

TEST(Connection, LingeringEndsByTimeAndLeavesOthersTheirTurn) {
    ServerOptions options;
    options.linger_timeout = milliseconds(1000);
    options.body_timeout = milliseconds(1000);
    Served served(sample_router(), options, 1);
    TcpClient other(served.port());
    TcpClient client(served.port());
    client.send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(client.receive().status, 400);
    const Flooder flooder(client);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 1; }));
    for (int i = 0; i < 20; ++i) {
        other.send(get("/2"));
        EXPECT_EQ(other.receive().body, "/2");
    }
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 0; }));
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 1; }));
}

// Its connection was reset after linger_timeout, and the reply was lost on its way.
TEST(Connection, WhoStillSendsABodyIsNotResetAfterItsRefusal) {
    ServerOptions options;
    options.linger_timeout = milliseconds(1000);
    Served served(sample_router(), options);
    TcpClient client(served.port());
    client.send("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n");
    {
        const Flooder flooder(client);
        EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 1; }));
        std::this_thread::sleep_for(2 * options.linger_timeout);
        EXPECT_EQ(served.stats().lingering, 1U);
    }
    EXPECT_EQ(client.receive().status, 413);
    client.expect_end();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
}

TEST(Connection, OnlySoManyLingerAtOnce) {
    ServerOptions options;
    options.linger_timeout = std::chrono::seconds(1000);
    options.max_lingering_connections = 1;
    Served served(sample_router(), options);
    TcpClient first(served.port());
    first.send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(first.receive().status, 400);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 1; }));
    TcpClient second(served.port());
    second.send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(second.receive_rest().substr(0, 12), "HTTP/1.1 400");
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 1; }));
    EXPECT_EQ(served.stats().lingering, 1U);
    first.close();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    EXPECT_EQ(served.stats().lingering, 0U);
}

TEST(Connection, ClosesWithTheLastOfTheRequestsThatItMayHave) {
    ServerOptions options;
    options.max_requests_per_connection = 3;
    Router routes = sample_router();
    routes.get("/stream", [](Request&, Response& response) {
        EXPECT_TRUE(response.write("streamed", test::kNever));
    });
    Served served(std::move(routes), options);
    for (const char* last : {"/3", "/stream", "/none"}) {
        TcpClient client(served.port());
        client.send(get("/1"));
        EXPECT_FALSE(client.receive().says_close());
        // What is sent behind the last one is not answered.
        client.send(get("/2") + get(last) + get("/1") + get("/2"));
        EXPECT_FALSE(client.receive().says_close());
        EXPECT_TRUE(client.receive().says_close()) << last;
        EXPECT_EQ(client.receive_rest(), "");
    }
    EXPECT_EQ(served.stats().requests, 9U);
    options.max_requests_per_connection = 0;
    Served patient(sample_router(), options);
    TcpClient client(patient.port());
    for (int i = 0; i < 10; ++i) {
        client.send(get("/1"));
        EXPECT_FALSE(client.receive().says_close());
    }
}

TEST(Connection, EveryLimitHasItsStatus) {
    ServerOptions options;
    options.max_header_bytes = 1000;
    options.max_header_fields = 8;
    options.max_target_bytes = 100;
    options.max_body_bytes = 50;
    options.max_chunk_extension_bytes = 100;
    Served served(sample_router(), options);
    const auto status = [&](std::string_view bytes) {
        TcpClient client(served.port());
        client.send(bytes);
        const HttpReply reply = client.receive();
        client.expect_end();
        return reply.status;
    };
    EXPECT_EQ(status(get("/" + std::string(100, 'x'))), 414);
    EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(1000, 'x') + "\r\n\r\n"),
              431);
    std::string fields;
    for (int i = 0; i < 8; ++i) {
        fields += "X: y\r\n";
    }
    EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"), 431);
    EXPECT_EQ(status(post("/whole", std::string(51, 'x'))), 413);
    EXPECT_EQ(status(chunked("/whole", "33\r\n" + std::string(51, 'x') + "\r\n0\r\n\r\n")), 413);
    EXPECT_EQ(status(chunked("/pieces", "x\r\n")), 400);
    EXPECT_EQ(status("BREW / HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
    EXPECT_EQ(status("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\n"), 417);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
              501);
    EXPECT_EQ(status("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 421);
    EXPECT_EQ(status(chunked("/whole", "1;" + std::string(100, 'x') + "\r\na\r\n0\r\n\r\n")), 413);
    EXPECT_EQ(status(chunked("/whole", "0\r\nX: " + std::string(1000, 'x') + "\r\n\r\n")), 431);
    EXPECT_EQ(status(chunked("/whole", "0\r\n" + fields + "X: y\r\n\r\n")), 431);
}

// The bytes behind said 400 when they came at once, and 413 when they came later.
TEST(Connection, AChunkOverTheLimitIsRefusedWhateverComesBehindIt) {
    ServerOptions options;
    options.max_body_bytes = 50;
    Served served(sample_router(), options);
    for (const std::string_view path : {"/whole", "/pieces"}) {
        for (const std::string_view body :
             {"1\r\na\r\n32\r\n", "ffffffffffffffff\r\n", "33\r\n0123456789\r\nnonsense",
              "20\r\n0123456789abcdef0123456789abcdef\r\n13\r\n0123456789abcdef012_nonsense"}) {
            TcpClient client(served.port());
            client.send(chunked(path, body));
            EXPECT_EQ(client.receive().status, 413) << path << ' ' << body;
            client.expect_end();
        }
    }
}

// It answered 32 reads full of requests in a row, some 9,000.
TEST(Connection, APipelineGivesWayAfterSomeHundredRequests) {
    std::atomic<std::uint64_t> handled = 0;
    Router routes;
    routes.get("/", [&](Request&, Response&) { ++handled; });
    Served served(std::move(routes), {}, 1);
    TcpClient flooder(served.port());
    std::atomic<bool> done = false;
    // How many are handled while this fiber gives way once.
    auto watch = served.runtime().spawn([&] {
        std::uint64_t most = 0;
        while (!done) {
            const std::uint64_t before = handled;
            this_fiber::yield();
            most = std::max(most, handled - before);
        }
        return most;
    });
    std::string burst;
    for (int i = 0; i < 1000; ++i) {
        burst += get("/");
    }
    std::thread receiver([&] {
        for (int i = 0; i < 20 * 1000; ++i) {
            (void)flooder.receive();
        }
    });
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(flooder.try_send(burst));
    }
    receiver.join();
    done = true;
    const std::uint64_t most = watch.join();
    EXPECT_GT(most, 1U);
    EXPECT_LE(most, 2 * 96U);  // the end of one turn and the beginning of the next
}

TEST(Connection, AClientThatNeverPausesLeavesTheOthersTheirTurn) {
    Served served(sample_router(), {}, 1);
    TcpClient flooder(served.port());
    TcpClient other(served.port());
    std::string burst;
    for (int i = 0; i < 1000; ++i) {
        burst += get("/1");
    }
    std::atomic<bool> done = false;
    std::thread sender([&] {
        while (!done && flooder.try_send(burst)) {
        }
    });
    std::thread receiver([&] {
        try {
            while (!done) {
                (void)flooder.receive();
            }
        } catch (const std::exception&) {
            // The test is over.
        }
    });
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().requests > 1000; }));
    for (int i = 0; i < 20; ++i) {
        other.send(get("/2"));
        EXPECT_EQ(other.receive().body, "/2");
    }
    done = true;
    served.server().stop(Deadline::after(milliseconds(0)));
    sender.join();
    receiver.join();
}

}  // namespace
}  // namespace coir::http
