#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/http/upgraded_stream.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"
#include "upgrades.hpp"

// How connections leave HTTP (RFC 9110, 7.8).
namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::HttpReply;
using coir::test::soon;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using test::as_bytes;
using test::ask;
using test::echo;
using test::echo_of;
using test::echo_routes;
using test::expect_101;
using test::get;
using test::kNever;
using test::kOffer;
using test::message;
using test::pattern;
using test::Served;

class Upgrade : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, Upgrade, testing::Values(1, 3));

TEST_P(Upgrade, GivesTheConnectionToTheHook) {
    Router routes;
    routes.get("/echo", [](Request&, Response& response) {
        ASSERT_TRUE(response.header("X-Before", "1").has_value());
        ASSERT_TRUE(response.upgrade("echo", echo).has_value());
        ASSERT_TRUE(response.header("X-Behind", "2").has_value());
        response.status(Status::not_found).content_type(media::json).body("nobody sees it");
    });
    Served served(std::move(routes), {}, GetParam());
    TcpClient client(served.port());
    client.send(ask());
    const HttpReply reply = client.receive();
    expect_101(reply);
    EXPECT_EQ(reply.field("X-Before"), "1");
    EXPECT_EQ(reply.field("X-Behind"), "2");
    EXPECT_EQ(client.unread(), "");
    // Nothing is taken for HTTP again.
    const std::string frames = get("/1") + pattern(100'000) + "GET bad request\r\n\r\n";
    EXPECT_EQ(echo_of(client, frames), frames);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    EXPECT_EQ(served.stats().requests, 1U);
    EXPECT_EQ(served.stats().bad_requests, 0U);
}

TEST_P(Upgrade, NothingThatComesBehindTheRequestIsLost) {
    Served served(echo_routes(), {}, GetParam());
    const std::string all = ask() + "first frames";
    for (std::size_t cut = 1; cut <= all.size(); ++cut) {
        TcpClient client(served.port());
        client.send_cut(all, std::array{cut});
        expect_101(client.receive());
        ASSERT_EQ(echo_of(client, "|more"), "first frames|more") << "cut at " << cut;
    }
    TcpClient client(served.port());
    client.send_byte_by_byte(all);
    expect_101(client.receive());
    EXPECT_EQ(echo_of(client, "|more"), "first frames|more");
}

TEST_P(Upgrade, RepliesToEarlierRequestsComeFirst) {
    Served served(echo_routes(), {}, GetParam());
    TcpClient client(served.port());
    client.send(get("/1") + get("/1") + ask() + "frame");
    EXPECT_EQ(client.receive().body, "/1");
    EXPECT_EQ(client.receive().body, "/1");
    expect_101(client.receive());
    EXPECT_EQ(echo_of(client, "s"), "frames");
}

TEST(Request, SeesWhichProtocolsAreOffered) {
    Router routes;
    routes.get("/", [](Request& request, Response& response) {
        std::string offered;
        for (const char* const protocol : {"websocket", "IRC/6.9", "IRC", "a b", ""}) {
            offered += request.offers_upgrade(protocol) ? std::string(protocol) + ' ' : "";
        }
        response.body(offered);
    });
    Served served(std::move(routes));
    const auto offers = [&served](std::string_view fields, std::string_view version = "1.1") {
        TcpClient client(served.port());
        client.send(ask(fields, "GET / HTTP/" + std::string(version)));
        return client.receive().body;
    };
    EXPECT_EQ(offers("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "websocket ");
    EXPECT_EQ(offers("connection: keep-alive, upgrade\r\nupgrade: WebSocket\r\n"), "websocket ");
    EXPECT_EQ(offers("Connection: x\r\nConnection: UPGRADE\r\nUpgrade: ,x , irc/6.9\r\n"),
              "IRC/6.9 ");
    EXPECT_EQ(offers("Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: irc, websocket\r\n"),
              "websocket IRC ");
    // Other versions, other names, and what is no protocol.
    EXPECT_EQ(offers("Connection: upgrade\r\nUpgrade: websocket/13, IRC/6.90, IRC/\r\n"), "");
    EXPECT_EQ(offers("Connection: upgrade\r\nUpgrade: websockets, xIRC, a b\r\n"), "");
    EXPECT_EQ(offers("Connection: upgrade\r\nUpgrade:\r\n"), "");
    EXPECT_EQ(offers("Connection: upgrade\r\n"), "");
    // No offer, for it was not said to this server.
    EXPECT_EQ(offers("Upgrade: websocket\r\n"), "");
    EXPECT_EQ(offers("Connection: upgrades, x-upgrade\r\nUpgrade: websocket\r\n"), "");
    EXPECT_EQ(offers("Connection: upgrade, close\r\nUpgrade: websocket\r\n"), "");
    EXPECT_EQ(offers("Connection: upgrade\r\nUpgrade: websocket\r\n", "1.0"), "");
    EXPECT_EQ(offers("Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n", "1.0"), "");
}

TEST(Upgrade, IsRefusedWhereItWasNotOffered) {
    Served served(echo_routes());
    TcpClient client(served.port());
    for (const char* const fields : {"", "Upgrade: echo\r\n", "Connection: upgrade\r\n",
                                     "Connection: upgrade\r\nUpgrade: echoes, echo/1\r\n"}) {
        client.send(ask(fields) + get("/1"));
        EXPECT_EQ(client.receive().body, message(Errc::upgrade_not_offered)) << fields;
        EXPECT_EQ(client.receive().body, "/1") << fields;
    }
    client.send("GET /echo HTTP/1.0\r\n" + std::string(kOffer) + "\r\n");
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, message(Errc::upgrade_not_offered));
    client.expect_end();
}

TEST(Upgrade, IsRefusedOnceTheResponseHasItsWay) {
    Router routes;
    routes.get("/written", [](Request&, Response& response) {
        ASSERT_TRUE(response.write("body", kNever).has_value());
        EXPECT_EQ(response.upgrade("echo", echo).error(),
                  make_error_code(Errc::response_already_started));
    });
    routes.get("/twice", [](Request&, Response& response) {
        const auto refused = make_error_code(Errc::invalid_field);
        ASSERT_TRUE(response.upgrade("echo", echo).has_value());
        EXPECT_EQ(response.upgrade("echo", echo).error(), refused);
        EXPECT_EQ(response.header("upgrade", "other").error(), refused);
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(ask(kOffer, "GET /written HTTP/1.1"));
    EXPECT_EQ(client.receive().body, "body");
    client.send(ask(kOffer, "GET /twice HTTP/1.1"));
    expect_101(client.receive());
    EXPECT_EQ(echo_of(client, "x"), "x");
}

TEST(Upgrade, AHandlerThatGoesOnInHttpHasFailed) {
    std::atomic<int> reports = 0;
    ServerOptions options;
    options.on_error = [&reports](const ServerError& error) {
        EXPECT_EQ(error.where, ServerError::Where::handler);
        ++reports;
    };
    Router routes;
    routes.get("/writes", [](Request&, Response& response) {
        ASSERT_TRUE(response.upgrade("echo", echo).has_value());
        ASSERT_TRUE(response.write("body", kNever).has_value());
    });
    routes.get("/throws", [](Request&, Response& response) {
        ASSERT_TRUE(response.upgrade("echo", echo).has_value());
        throw std::runtime_error("after all");
    });
    Served served(std::move(routes), options);
    for (const char* const path : {"GET /writes HTTP/1.1", "GET /throws HTTP/1.1"}) {
        TcpClient client(served.port());
        client.send(ask(kOffer, path) + "frame");
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.status, 500) << path;
        EXPECT_TRUE(reply.says_close()) << path;
        client.expect_end();
    }
    EXPECT_EQ(reports, 2);
    EXPECT_EQ(served.stats().handler_failures, 2U);
}

/// Something that waits in its destructor, as handles that join do.
class WaitsAtItsEnd final {
public:
    explicit WaitsAtItsEnd(std::atomic<int>& ended) noexcept : ended_(&ended) {}
    WaitsAtItsEnd(WaitsAtItsEnd&& other) noexcept : ended_(std::exchange(other.ended_, nullptr)) {}
    WaitsAtItsEnd& operator=(WaitsAtItsEnd&& other) = delete;
    ~WaitsAtItsEnd() {
        if (ended_ != nullptr) {
            this_fiber::sleep_for(std::chrono::milliseconds(1));
            ++*ended_;
        }
    }

private:
    std::atomic<int>* ended_;
};

// A hook that was dropped was destroyed while its exchange was put into the pool of a worker. What it
// held waited then, and the fiber went on at another worker, which put the exchange into a pool that was
// not its own: a race with that pool's owner.
TEST(Upgrade, AHookThatIsDroppedMayWaitAtItsEnd) {
    std::atomic<int> ended = 0;
    Router routes = echo_routes();
    routes.get("/throws", [&ended](Request&, Response& response) {
        ASSERT_TRUE(response.upgrade("echo", [held = WaitsAtItsEnd(ended)](UpgradedStream&) {})
                        .has_value());
        throw std::runtime_error("after all");
    });
    Served served(std::move(routes), {}, 3);
    constexpr int kRounds = 20;
    constexpr std::size_t kClients = 16;
    for (int round = 0; round < kRounds; ++round) {
        std::vector<std::unique_ptr<TcpClient>> clients;
        for (std::size_t i = 0; i < kClients; ++i) {
            clients.push_back(std::make_unique<TcpClient>(served.port()));
            clients.back()->send(ask(kOffer, "GET /throws HTTP/1.1"));
        }
        for (const auto& client : clients) {
            EXPECT_EQ(client->receive().status, 500);
            client->expect_end();
        }
    }
    served.server().stop(soon());
    served.join();
    EXPECT_EQ(ended, kRounds * static_cast<int>(kClients));
}

TEST(Upgrade, ComesBehindTheWholeBody) {
    Router routes = echo_routes();
    routes.post("/read", [](Request& request, Response& response) {
        const std::string body(request.body().read_all(kNever).value());
        ASSERT_TRUE(response
                        .upgrade("echo",
                                 [body](UpgradedStream& client) {
                                     (void)client.stream().write_all(as_bytes(body + "|"), kNever);
                                     echo(client);
                                 })
                        .has_value());
    });
    Served served(std::move(routes));
    const auto answer = [&served](std::string_view start, const std::string& body) {
        const bool is_chunked = body.ends_with("0\r\n\r\n");
        const std::string framing = is_chunked
                                        ? "Transfer-Encoding: chunked\r\n"
                                        : "Content-Length: " + std::to_string(body.size()) + "\r\n";
        TcpClient client(served.port());
        client.send(ask(std::string(kOffer) + framing, start));
        client.send(body + "frame");
        expect_101(client.receive());
        return echo_of(client, "s");
    };
    constexpr std::string_view kUnread = "POST /echo HTTP/1.1";
    EXPECT_EQ(answer(kUnread, "short"), "frames");
    EXPECT_EQ(answer(kUnread, pattern(200'000)), "frames");
    EXPECT_EQ(answer(kUnread, "5\r\nshort\r\n0\r\n\r\n"), "frames");
    EXPECT_EQ(answer("POST /read HTTP/1.1", "20"), "20|frames");
    EXPECT_EQ(answer("POST /read HTTP/1.1", "1\r\n2\r\n1\r\n0\r\n0\r\n\r\n"), "20|frames");
}

TEST(Upgrade, WhoExpects100GetsItBefore) {
    Router routes = echo_routes();
    routes.post("/read", [](Request& request, Response& response) {
        EXPECT_EQ(request.body().read_all(kNever).value(), "20");
        ASSERT_TRUE(response.upgrade("echo", echo).has_value());
    });
    Served served(std::move(routes));
    for (const char* const start : {"POST /echo HTTP/1.1", "POST /read HTTP/1.1"}) {
        const std::string head =
            ask(std::string(kOffer) + "Expect: 100-continue\r\nContent-Length: 2\r\n", start);
        TcpClient client(served.port());
        client.send(head);
        EXPECT_EQ(client.receive().status, 100) << start;
        client.send("20frame");
        expect_101(client.receive());
        EXPECT_EQ(echo_of(client, "s"), "frames") << start;
        // One that does not wait.
        TcpClient hasty(served.port());
        hasty.send(head + "20frame");
        EXPECT_EQ(hasty.receive().status, 100) << start;
        expect_101(hasty.receive());
        EXPECT_EQ(echo_of(hasty, "s"), "frames") << start;
    }
    // One that has nothing to wait for.
    TcpClient client(served.port());
    client.send(get("/1") + ask(std::string(kOffer) + "Expect: 100-continue\r\n"));
    EXPECT_EQ(client.receive().body, "/1");
    EXPECT_EQ(client.receive().status, 100);
    expect_101(client.receive());
}

TEST(Upgrade, ABodyThatIsNotReadToItsEndIsRefused) {
    ServerOptions options;
    options.max_drained_bytes = 1000;
    options.body_timeout = milliseconds(100);
    Served served(echo_routes(), options);
    constexpr std::string_view kPost = "POST /echo HTTP/1.1";
    const auto offer = [](std::string_view framing) { return std::string(kOffer).append(framing); };
    {
        TcpClient client(served.port());
        client.send(ask(offer("Content-Length: 1001\r\n"), kPost));
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.body, message(Errc::body_too_large));  // the handler's
        EXPECT_TRUE(reply.says_close());
    }
    const auto status_of = [&](std::string_view framing, const std::string& body) {
        TcpClient client(served.port());
        client.send(ask(offer(framing), kPost) + body);
        const HttpReply reply = client.receive();
        EXPECT_TRUE(reply.says_close());
        client.expect_end();
        return reply.status;
    };
    constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n";
    EXPECT_EQ(status_of(kChunked, "800\r\n" + pattern(0x800) + "\r\n0\r\n\r\nframe"), 413);
    EXPECT_EQ(status_of(kChunked, "5\r\nshort0\r\n\r\nframe"), 400);
    EXPECT_EQ(status_of("Content-Length: 10\r\n", "short"), 408);
}

TEST(Upgrade, AnyMethodMayAsk) {
    Served served(echo_routes());
    TcpClient client(served.port());
    client.send(ask(kOffer, "HEAD /echo HTTP/1.1"));
    expect_101(client.receive_to_head());
    EXPECT_EQ(echo_of(client, "x"), "x");
}

TEST(Upgrade, TheLastRequestOfAConnectionMayAskToo) {
    ServerOptions options;
    options.max_requests_per_connection = 1;
    options.server_name = "coir";
    Router routes;
    routes.get("/echo", [](Request&, Response& response) {
        ASSERT_TRUE(response.close_connection().upgrade("echo", echo).has_value());
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(ask());
    const HttpReply reply = client.receive();
    expect_101(reply);
    EXPECT_EQ(reply.field("Server"), "coir");
    EXPECT_EQ(echo_of(client, "x"), "x");
}

TEST(Response, NamesTheConnectionOptionOfAnUpgrade) {
    Router routes;
    const auto handler = [](Request& request, Response& response) {
        response.status(Status::upgrade_required);
        ASSERT_TRUE(response.header("upgrade", "websocket, IRC/6.9").has_value());
        if (request.query().find("close")) {
            response.close_connection();
        }
        if (request.query().find("stream")) {
            ASSERT_TRUE(response.write("body", kNever).has_value());
        } else {
            response.body("body");
        }
    };
    routes.get("/", handler);
    routes.get("/1", test::say_path);
    Served served(std::move(routes));
    const auto option_for = [&served](std::string_view target, std::string_view version = "1.1",
                                      std::string_view more = "") {
        TcpClient client(served.port());
        client.send("GET " + std::string(target) + " HTTP/" + std::string(version) +
                    "\r\nHost: a\r\n" + std::string(more) + "\r\n");
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.status, 426);
        EXPECT_EQ(reply.field("Upgrade"), "websocket, IRC/6.9");
        EXPECT_EQ(reply.body, "body");
        return reply.field("Connection").value_or("none");
    };
    EXPECT_EQ(option_for("/"), "upgrade");
    EXPECT_EQ(option_for("/?stream"), "upgrade");
    EXPECT_EQ(option_for("/?close"), "close, upgrade");
    EXPECT_EQ(option_for("/?close&stream"), "close, upgrade");
    EXPECT_EQ(option_for("/", "1.1", "Connection: close\r\n"), "close, upgrade");
    EXPECT_EQ(option_for("/", "1.0", "Connection: keep-alive\r\n"), "keep-alive, upgrade");
    EXPECT_EQ(option_for("/", "1.0"), "close, upgrade");
    // The next response knows nothing of it.
    TcpClient client(served.port());
    client.send(get("/") + get("/1"));
    EXPECT_EQ(client.receive().field("Connection"), "upgrade");
    EXPECT_EQ(client.receive().field("Connection"), std::nullopt);
}

}  // namespace
}  // namespace coir::http
