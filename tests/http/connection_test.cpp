#include "http/connection.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <latch>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "coir/base/number.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "lone_connection.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::HttpReply;
using coir::test::soon;
using coir::test::take_reply;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using test::get;
using test::kGet;
using test::kNever;
using test::pattern;
using test::post;
using test::sample_router;
using test::Served;

TEST(Connection, AnswersRequestsOneAfterTheOther) {
    Served served(sample_router());
    TcpClient client(served.port());
    for (const char* path : {"/1", "/2", "/3"}) {
        client.send(get(path));
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.status, 200);
        EXPECT_EQ(reply.body, path);
        EXPECT_TRUE(reply.field("Date").has_value());
        EXPECT_FALSE(reply.field("Connection").has_value());
    }
}

TEST(Connection, AnswersAPipelinedBurstInOrderWithOneWrite) {
    std::string burst;
    for (int i = 0; i < 16; ++i) {
        burst += get("/" + std::to_string(i % 3 + 1));
    }
    Runtime runtime({.workers = 1});
    runtime.run([&burst] {
        // TCP may join what two writes have sent. Such a socket never does: a write is a message.
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        const auto core = std::make_shared<ServerCore>(sample_router(), ServerOptions{});
        core->prepare();
        test::start_lone_connection(core, UniqueFd(ends[0]));
        net::TcpStream client{UniqueFd(ends[1])};
        client.write_all(std::as_bytes(std::span(burst)), soon()).value();
        std::string answer(64 * 1024, '\0');
        answer.resize(client.read_some(std::as_writable_bytes(std::span(answer)), soon()).value());
        for (int i = 0; i < 16; ++i) {
            const auto reply = take_reply(answer, {});
            ASSERT_TRUE(reply) << "the first write ends within or before reply " << i;
            EXPECT_EQ(reply->body, "/" + std::to_string(i % 3 + 1));
        }
        EXPECT_EQ(answer, "");
        client.close();
        test::await_lone_connections(*core);
    });
}

TEST(Connection, AnswersARequestThatComesByteByByte) {
    Served served(sample_router());
    TcpClient client(served.port());
    client.send_byte_by_byte(get("/1") + post("/whole", "20") + get("/2"));
    EXPECT_EQ(client.receive().body, "/1");
    EXPECT_EQ(client.receive().body, "20");
    EXPECT_EQ(client.receive().body, "/2");
}

TEST(Connection, AnswersABurstLargerThanAnyBuffer) {
    Served served(sample_router());
    TcpClient client(served.port());
    constexpr int kRequests = 20'000;
    std::string burst;
    for (int i = 0; i < kRequests; ++i) {
        burst += get("/2");
    }
    std::thread sender([&] { client.send(burst); });
    TcpClient& receiver = client;
    for (int i = 0; i < kRequests; ++i) {
        ASSERT_EQ(receiver.receive().body, "/2");
    }
    sender.join();
}

TEST(Connection, ClosesWhenTheClientSaysSo) {
    Served served(sample_router());
    TcpClient client(served.port());
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: foo, CLOSE\r\n\r\n" + get("/2"));
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.body, "/1");
    EXPECT_TRUE(reply.says_close());
    client.expect_end();
    EXPECT_EQ(served.stats().requests, 1U);
}

TEST(Connection, ClosesWhenTheHandlerSaysSo) {
    Router routes;
    routes.get("/", [](Request&, Response& response) { response.close_connection(); });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(std::string(kGet) + std::string(kGet));
    EXPECT_TRUE(client.receive().says_close());
    client.expect_end();
}

// close() with unread bytes in the kernel discards what it has not sent yet, and the engine looked
// only at its own buffer: the end of a long reply was lost if the client had sent on.
TEST(Connection, AReplyThatClosesReachesAClientThatHasSentMore) {
    static const std::string large = pattern(4'000'000);
    std::atomic<int> inside = 0;
    std::atomic<int> may_go_on = 0;
    Router routes;
    const auto wait = [&] {
        const int turn = ++inside;
        while (may_go_on < turn) {
            this_fiber::sleep_for(milliseconds(1));
        }
    };
    routes.get("/whole", [&](Request&, Response& response) {
        wait();
        response.body_static(large).close_connection();
    });
    routes.get("/pieces", [&](Request&, Response& response) {
        wait();
        ASSERT_TRUE(response.write(large, kNever).has_value());
    });
    Served served(std::move(routes));
    int turn = 0;
    for (const std::string& request :
         {get("/whole"), std::string("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")}) {
        TcpClient client(served.port(), 16 * 1024);
        client.send(request);
        ++turn;
        EXPECT_TRUE(holds_before(soon(), [&] { return inside == turn; }));
        client.send(request);
        may_go_on = turn;
        const std::string reply = client.receive_rest();
        EXPECT_NE(reply.find("\r\nConnection: close\r\n"), std::string::npos);
        EXPECT_TRUE(reply.ends_with(large)) << reply.size() << " bytes have come";
    }
}

TEST(Connection, KeepsHttp10OnlyWhenAskedTo) {
    Served served(sample_router());
    TcpClient client(served.port());
    client.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(client.receive().field("Connection"), "keep-alive");
    client.send("GET /2 HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(client.receive().says_close());
    client.expect_end();
}

TEST(Connection, AnswersHeadWithTheHeadOfGet) {
    Served served(sample_router());
    TcpClient client(served.port());
    client.send("HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n" + get("/2"));
    const HttpReply reply = client.receive_to_head();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.field("Content-Length"), "2");
    EXPECT_EQ(client.receive().body, "/2");
}

TEST(Connection, AnswersWhatWasSentBeforeAHalfClose) {
    Served served(sample_router());
    TcpClient client(served.port());
    client.send(get("/1") + get("/2"));
    client.finish_sending();
    EXPECT_EQ(client.receive().body, "/1");
    EXPECT_EQ(client.receive().body, "/2");
    client.expect_end();
}

TEST(Connection, AnswersUnknownPathsAndMethodsAndGoesOn) {
    Served served(sample_router());
    TcpClient client(served.port());
    client.send(get("/none") + post("/1", "20") + "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" +
                get("/1"));
    EXPECT_EQ(client.receive().status, 404);
    const HttpReply refused = client.receive();
    EXPECT_EQ(refused.status, 405);
    EXPECT_EQ(refused.field("Allow"), "GET, HEAD, OPTIONS");
    const HttpReply options = client.receive();
    EXPECT_EQ(options.status, 204);
    EXPECT_EQ(options.field("Allow"), "GET, HEAD, POST, OPTIONS");
    EXPECT_EQ(client.receive().body, "/1");
}

TEST(Connection, OptionsOfAPathSaysWhatItTakesUnlessAHandlerDoes) {
    Router routes = sample_router();
    routes.options("/mine", [](Request&, Response& response) { response.body("mine"); });
    Served served(std::move(routes));
    TcpClient client(served.port());
    const auto options = [](const std::string& path) {
        return "OPTIONS " + path + " HTTP/1.1\r\nHost: a\r\n\r\n";
    };
    client.send(options("/1") + options("/none") + options("/mine") + get("/1"));
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 204);
    EXPECT_EQ(reply.field("Allow"), "GET, HEAD, OPTIONS");
    EXPECT_EQ(client.receive().status, 404);
    EXPECT_EQ(client.receive().body, "mine");
    EXPECT_EQ(client.receive().body, "/1");
}

TEST(Connection, GivesTheHandlerAllOfTheRequest) {
    Router routes;
    routes.put("/users/{id}", [](Request& request, Response& response) {
        std::string text(as_text(request.method()));
        text.append("|").append(request.target()).append("|").append(request.path());
        text.append("|").append(request.query().find("q").value_or("-"));
        text.append("|").append(request.param("id")).append("|").append(request.param("none"));
        text.append("|").append(request.authority());
        text.append("|").append(request.header("x-name").value_or("-"));
        text.append("|").append(std::to_string(request.headers().size()));
        text.append("|").append(std::to_string(request.body().content_length().value_or(99)));
        response.body(std::move(text));
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(
        "PUT /users/7?q=x HTTP/1.1\r\nHost: h:80\r\nX-Name:  y \r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_EQ(client.receive().body, "PUT|/users/7?q=x|/users/7|x|7||h:80|y|3|3");
}

TEST(Connection, SendsLargeBodiesWithoutACopyAndInOrder) {
    static const std::string large = pattern(5'000'000);
    Router routes = sample_router();
    routes.get("/static", [](Request&, Response& response) { response.body_static(large); });
    routes.get("/owned", [](Request&, Response& response) { response.body(std::string(large)); });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(get("/1") + get("/static") + get("/2") + get("/owned") + get("/3"));
    EXPECT_EQ(client.receive().body, "/1");
    EXPECT_EQ(client.receive().body, large);
    EXPECT_EQ(client.receive().body, "/2");
    EXPECT_EQ(client.receive().body, large);
    EXPECT_EQ(client.receive().body, "/3");
}

TEST(Connection, AHandlerThatThrowsMakesA500) {
    std::atomic<int> reports = 0;
    ServerOptions options;
    options.on_error = [&reports](const ServerError& error) {
        EXPECT_EQ(error.where, ServerError::Where::handler);
        EXPECT_NE(error.exception, nullptr);
        EXPECT_EQ(error.path, "/throw");
        ++reports;
        throw 1;  // a hook that fails does no harm
    };
    Router routes = sample_router();
    routes.get("/throw", [](Request&, Response& response) {
        response.body("half-way");
        throw std::bad_alloc();
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(get("/1") + get("/throw") + get("/2"));
    EXPECT_EQ(client.receive().body, "/1");
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 500);
    EXPECT_TRUE(reply.says_close());
    client.expect_end();
    EXPECT_EQ(reports, 1);
}

TEST(Connection, AHandlerThatThrowsInTheMiddleOfABodyAbortsTheConnection) {
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        ASSERT_TRUE(response.write("abc", kNever).has_value());
        ASSERT_TRUE(response.body_writer().flush(kNever).has_value());
        throw std::runtime_error("no more");
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send("GET / HTTP/1.0\r\n\r\n");
    // Without a length, only a reset tells that the body is not whole.
    EXPECT_THROW((void)client.receive_rest(), std::system_error);
}

TEST(Connection, AHandlerMaySleepAndWakeUpOnAnotherWorker) {
    Router routes;
    routes.get("/", [](Request& request, Response& response) {
        const std::string before(request.target());
        for (int i = 0; i < 5; ++i) {
            this_fiber::sleep_for(milliseconds(1));
            this_fiber::yield();
        }
        response.body(before == request.target() ? "same" : "changed");
    });
    Served served(std::move(routes), {}, 4);
    std::vector<TcpClient> clients;
    for (int i = 0; i < 50; ++i) {
        clients.emplace_back(served.port()).send(std::string(kGet) + std::string(kGet));
    }
    for (TcpClient& client : clients) {
        EXPECT_EQ(client.receive().body, "same");
        EXPECT_EQ(client.receive().body, "same");
    }
}

TEST(Connection, EarlierRepliesNeedNotWaitForAHandlerThatWaits) {
    std::atomic<bool> may_go_on = false;
    Router routes = sample_router();
    routes.get("/slow", [&](Request&, Response& response) {
        EXPECT_TRUE(response.send_earlier_replies(kNever));
        while (!may_go_on) {
            this_fiber::sleep_for(milliseconds(1));
        }
        response.body("slow");
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(get("/1") + get("/2") + get("/slow") + get("/3"));
    EXPECT_EQ(client.receive().body, "/1");
    EXPECT_EQ(client.receive().body, "/2");
    EXPECT_EQ(client.unread(), "");
    may_go_on = true;
    EXPECT_EQ(client.receive().body, "slow");
    EXPECT_EQ(client.receive().body, "/3");
}

TEST(Connection, ExchangesAreForgottenBetweenConnections) {
    Served served(sample_router(), {}, 1);
    for (int i = 0; i < 3; ++i) {
        TcpClient broken(served.port());
        broken.send("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
        broken.wait_until_read();
        broken.reset();
        TcpClient half(served.port());
        half.send("GET /1 HT");
        half.wait_until_read();
        half.close();
        EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
        TcpClient client(served.port());
        client.send(get("/1") + post("/whole", "20"));
        EXPECT_EQ(client.receive().body, "/1");
        EXPECT_EQ(client.receive().body, "20");
        client.close();
        EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    }
}

// Exchanges go from connection to connection. Every 32nd one to be used gave way before it read, and its
// request was answered behind all others that had come meanwhile.
TEST(Connection, RequestsOfManyConnectionsAreTakenInTheOrderInWhichTheyCame) {
    constexpr std::size_t kClients = 150;
    std::vector<std::size_t> order;  // of one worker
    Router routes;
    routes.get("/{number}", [&order](Request& request, Response& response) {
        order.push_back(parse_integer<std::size_t>(request.param("number")).value());
        response.body("");
    });
    Served served(std::move(routes), {}, 1);
    std::vector<TcpClient> clients;
    for (std::size_t i = 0; i != kClients; ++i) {
        clients.emplace_back(served.port());
        clients.back().send(get("/" + std::to_string(i)));
        EXPECT_EQ(clients.back().receive().status, 200);
    }
    order.clear();
    std::latch is_busy{1};
    std::latch may_go_on{1};
    auto busy = served.runtime().spawn([&] {
        is_busy.count_down();
        may_go_on.wait();  // the thread, not the fiber
    });
    is_busy.wait();
    for (std::size_t i = 0; i != kClients; ++i) {
        clients[i].send(get("/" + std::to_string(i)));
    }
    may_go_on.count_down();
    busy.join();
    for (TcpClient& client : clients) {
        EXPECT_EQ(client.receive().status, 200);
    }
    ASSERT_EQ(order.size(), kClients);
    // The kernel may swap neighbours: it works on more than one processor.
    constexpr std::size_t kNear = 8;
    for (std::size_t i = 0; i != kClients; ++i) {
        EXPECT_LT(i, order[i] + kNear) << order[i] << " was the " << i << "th";
    }
}

}  // namespace
}  // namespace coir::http
