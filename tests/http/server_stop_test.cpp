#include "coir/http/server.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "coir/runtime/fiber_info.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "served.hpp"
#include "support/listening_sockets.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::HttpReply;
using coir::test::soon;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Served;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

Router router() {
    Router router;
    router.get("/", [](Request&, Response& response) { response.body_static("ok"); });
    return router;
}

TEST(Server, StopClosesIdleConnectionsAtOnce) {
    Served served(router());
    TcpClient fresh(served.port());
    TcpClient used(served.port());
    used.send(kGet);
    EXPECT_EQ(used.receive().status, 200);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 2; }));
    EXPECT_GT(coir::test::listening_sockets(::getpid()), 0U);
    served.server().stop(Deadline::after(seconds(1000)));
    fresh.expect_end();
    used.expect_end();
    fresh.close();
    used.close();
    served.join();
    EXPECT_EQ(served.stats().open, 0U);
    EXPECT_EQ(coir::test::listening_sockets(::getpid()), 0U);
}

// Idle connections were woken by a shutdown of their reading, and the kernel answered what came later
// with a reset.
TEST(Server, StopResetsNoRequestThatComesInThatMoment) {
    ServerOptions options;
    options.linger_timeout = seconds(1000);
    Served served(router(), options);
    TcpClient fresh(served.port());
    TcpClient used(served.port());
    used.send(kGet);
    EXPECT_EQ(used.receive().status, 200);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 2; }));
    served.server().stop(Deadline::never());
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 2; }));
    for (TcpClient* client : {&fresh, &used}) {
        client->send(kGet);
        client->wait_until_read();
        client->send(kGet);
        EXPECT_EQ(client->receive_rest(), "");  // no error, and no half of a reply
        client->close();
    }
    served.join();
}

// The acceptor closed its listener when its worker came to run it, after clients had been told; those that
// connected anew in between were reset.
TEST(Server, StopClosesTheListenersBeforeItReturns) {
    Served served(router(), {}, 1);
    TcpClient client(served.port());
    client.send(kGet);
    EXPECT_EQ(client.receive().status, 200);
    std::atomic<bool> computes = false;
    std::atomic<bool> may_go_on = false;
    auto busy = served.runtime().spawn([&] {
        computes = true;
        while (!may_go_on) {
        }
    });
    EXPECT_TRUE(holds_before(soon(), [&] { return computes.load(); }));
    TcpClient late(served.port());
    late.send(kGet);
    served.server().stop(Deadline::never());
    EXPECT_EQ(coir::test::listening_sockets(::getpid()), 0U);
    may_go_on = true;
    busy.join();
    const HttpReply reply = late.receive();
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.says_close());
    late.close();
    client.expect_end();
    client.close();
    served.join();
}

TEST(Server, StopWaitsNoLongerThanItLingersForIdleClients) {
    ServerOptions options;
    options.linger_timeout = milliseconds(100);
    Served served(router(), options);
    TcpClient client(served.port());
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 1; }));
    served.server().stop(Deadline::never());
    EXPECT_TRUE(holds_before(soon(), [&] { return served.has_ended(); }));
    served.join();
    client.expect_end();
}

// The streamed ones said nothing of it, and the client's next request met the end.
TEST(Server, StopHasAStreamedResponseSayThatTheConnectionCloses) {
    std::atomic<bool> is_in_handler = false;
    std::atomic<bool> may_go_on = false;
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        is_in_handler = true;
        while (!may_go_on) {
            this_fiber::sleep_for(milliseconds(1));
        }
        EXPECT_TRUE(response.write("ok", Deadline::never()));
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(kGet);
    EXPECT_TRUE(holds_before(soon(), [&] { return is_in_handler.load(); }));
    served.server().stop(Deadline::never());
    may_go_on = true;
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.body, "ok");
    EXPECT_TRUE(reply.says_close());
    client.close();
    served.join();
}

TEST(Server, StopLetsBegunRequestsBeAnswered) {
    std::atomic<bool> is_in_handler = false;
    std::atomic<bool> may_go_on = false;
    Router routes;
    routes.post("/", [&](Request& request, Response& response) {
        is_in_handler = true;
        while (!may_go_on) {
            this_fiber::sleep_for(milliseconds(1));
        }
        const auto body = request.body().read_all(Deadline::never());
        if (body) {
            response.body(*body);
        }
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    EXPECT_TRUE(holds_before(soon(), [&] { return is_in_handler.load(); }));
    TcpClient head(served.port());
    head.send("GET / HT");
    head.wait_until_read();
    served.server().stop(Deadline::after(seconds(1000)));
    may_go_on = true;
    EXPECT_FALSE(served.has_ended());
    client.send("20");
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.body, "20");
    EXPECT_TRUE(reply.says_close());
    head.send("TP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(head.receive().status, 405);
    client.close();
    head.close();
    served.join();
}

TEST(Server, StopAnswersAWholeBurstAndClosesBehindIt) {
    std::atomic<int> seen = 0;
    std::atomic<bool> may_go_on = false;
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        if (seen++ == 0) {
            while (!may_go_on) {
                this_fiber::sleep_for(milliseconds(1));
            }
        }
        response.body("ok");
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(std::string(kGet) + std::string(kGet) + std::string(kGet));
    EXPECT_TRUE(holds_before(soon(), [&] { return seen != 0; }));
    served.server().stop(Deadline::after(seconds(1000)));
    may_go_on = true;
    EXPECT_FALSE(client.receive().says_close());
    EXPECT_FALSE(client.receive().says_close());
    EXPECT_TRUE(client.receive().says_close());
    client.expect_end();
    client.close();
    served.join();
}

// The client cannot know of the stop; its next request must not cost it this reply.
TEST(Server, StopLosesNothingOfAReplyWhenTheClientSendsOn) {
    static const std::string large(4'000'000, 'x');
    std::atomic<bool> is_in_handler = false;
    std::atomic<bool> may_go_on = false;
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        is_in_handler = true;
        while (!may_go_on) {
            this_fiber::sleep_for(milliseconds(1));
        }
        response.body_static(large);
    });
    ServerOptions options;
    options.linger_timeout = seconds(1000);
    Served served(std::move(routes), options);
    TcpClient client(served.port(), 16 * 1024);
    client.send(kGet);
    EXPECT_TRUE(holds_before(soon(), [&] { return is_in_handler.load(); }));
    served.server().stop(Deadline::after(seconds(1000)));
    client.send(kGet);
    may_go_on = true;
    const HttpReply reply = client.receive();
    EXPECT_TRUE(reply.says_close());
    EXPECT_EQ(reply.body.size(), large.size());
    client.expect_end();
    client.close();
    served.join();
}

// What the kernel still has to send of an earlier reply must not be lost either.
TEST(Server, StopLosesNothingOfAnEarlierReplyWhenTheClientSendsOn) {
    static const std::string large(1'000'000, 'x');
    Router routes;
    routes.get("/", [](Request&, Response& response) { response.body_static(large); });
    ServerOptions options;
    options.linger_timeout = seconds(1000);
    Served served(std::move(routes), options);
    TcpClient client(served.port(), 16 * 1024);
    client.send(kGet);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().requests == 1; }));
    std::this_thread::sleep_for(milliseconds(50));  // it is idle now
    served.server().stop(Deadline::after(seconds(1000)));
    std::this_thread::sleep_for(milliseconds(50));
    client.send(kGet);
    EXPECT_EQ(client.receive().body.size(), large.size());
    client.close();
    served.join();
}

// The kernel's count of unsent bytes outlives the connection: the stop once waited for it.
TEST(Server, StopDoesNotWaitForAClientThatHasGoneWithoutReading) {
    static const std::string large(4'000'000, 'x');
    Router routes;
    routes.get("/", [](Request&, Response& response) { response.body_static(large); });
    ServerOptions options;
    options.linger_timeout = seconds(1000);
    Served served(std::move(routes), options);
    TcpClient client(served.port(), 16 * 1024);
    client.send(kGet);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 1; }));
    client.wait_until_read();
    served.server().stop(Deadline::never());
    client.reset();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.has_ended(); }));
    served.join();
}

TEST(Server, StopDoesNotWaitBeyondTheDeadlineForAClientThatDoesNotClose) {
    ServerOptions options;
    options.linger_timeout = seconds(1000);
    std::atomic<bool> is_in_handler = false;
    std::atomic<bool> may_go_on = false;
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        is_in_handler = true;
        while (!may_go_on) {
            this_fiber::sleep_for(milliseconds(1));
        }
        response.body("ok");
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(kGet);
    EXPECT_TRUE(holds_before(soon(), [&] { return is_in_handler.load(); }));
    served.server().stop(Deadline::after(milliseconds(100)));
    may_go_on = true;
    EXPECT_TRUE(client.receive().says_close());
    client.expect_end();
    served.join();
}

TEST(Server, StopCutsAtTheDeadline) {
    std::atomic<bool> is_in_handler = false;
    Router routes;
    routes.post("/", [&](Request& request, Response&) {
        is_in_handler = true;
        EXPECT_EQ(request.body().read_all(Deadline::never()).error(),
                  std::errc::operation_canceled);
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    EXPECT_TRUE(holds_before(soon(), [&] { return is_in_handler.load(); }));
    served.server().stop(Deadline::after(milliseconds(100)));
    served.join();
    client.expect_end();
}

/// The server has one route, whose handler says that it has written a part of a body without a length.
void expect_a_cut_to_reset(Router routes, std::string_view request,
                           const std::atomic<bool>& has_written) {
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(request);
    EXPECT_TRUE(holds_before(soon(), [&] { return has_written.load(); }));
    served.server().stop(Deadline::after(milliseconds(50)));
    served.join();
    EXPECT_THROW((void)client.receive_rest(), std::system_error);
}

// A body that ends with the connection was ended by a FIN, so that the client took the half of it for all.
TEST(Server, AStopThatCutsABodyWithoutALengthResetsItsConnection) {
    std::atomic<bool> has_written = false;
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        EXPECT_TRUE(response.write("half", Deadline::never()));
        has_written = true;
        while (response.write(std::string(1 << 16, 'x'), Deadline::never())) {
        }
    });
    expect_a_cut_to_reset(std::move(routes), "GET / HTTP/1.0\r\n\r\n", has_written);
}

// The handler had not been writing when it was cut.
TEST(Server, AStopThatCutsAHandlerBetweenTwoWritesResetsItsConnection) {
    std::atomic<bool> has_written = false;
    Router routes;
    routes.post("/", [&](Request& request, Response& response) {
        EXPECT_TRUE(response.write("half", Deadline::never()));
        EXPECT_TRUE(response.body_writer().flush(Deadline::never()));
        has_written = true;
        EXPECT_FALSE(request.body().read_all(Deadline::never()));
    });
    expect_a_cut_to_reset(std::move(routes), "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n",
                          has_written);
}

/// A server with one worker whose handler waits until its client has gone, and then asks serve() to stop.
class StoppedByItsHandler final {
public:
    StoppedByItsHandler() {
        Router routes;
        routes.get("/", [this](Request& request, Response&) {
            Parker parker;
            const std::stop_callback gone(request.stop_token(), [&] {
                serving_.request_stop();
                listeners_left_ = coir::test::listening_sockets(::getpid());
                parker.unpark();
            });
            waits_ = true;
            EXPECT_TRUE(parker.park(soon()));
        });
        server_.emplace(std::move(routes));
        port_ = runtime_.run([&] { return server_->listen(net::SocketAddress::loopback(0)); })
                    .value()
                    .port();
        serving_ = runtime_.spawn([this] { server_->serve(); });
    }
    void await_request() const {
        EXPECT_TRUE(holds_before(soon(), [&] { return waits_.load(); }));
    }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] Server& server() noexcept { return *server_; }
    void join() { serving_.join(); }
    /// When request_stop() had returned.
    [[nodiscard]] std::size_t listeners_left() const noexcept { return listeners_left_; }

private:
    Runtime runtime_{{.workers = 1}};
    std::optional<Server> server_;
    std::uint16_t port_ = 0;
    std::atomic<bool> waits_{false};
    std::atomic<std::size_t> listeners_left_{0};
    FiberHandle<void> serving_;
};

// The callback was called under the server's lock, which serve()'s own then asked for.
TEST(Server, WhoIsCutMayAskServeToStop) {
    StoppedByItsHandler stopped;
    TcpClient client(stopped.port());
    client.send(kGet);
    stopped.await_request();
    stopped.server().stop(Deadline::after(milliseconds(10)));
    stopped.join();
}

// serve()'s callback stopped the server in the poller, where it must not wait for a lock.
TEST(Server, IsNotStoppedWhereItsFiberIsAskedTo) {
    StoppedByItsHandler stopped;
    {
        TcpClient client(stopped.port());
        client.send(kGet);
        stopped.await_request();
    }
    stopped.join();
    EXPECT_GT(stopped.listeners_left(), 0U);
}

// With all fibers its acceptors were asked to stop, and ended before the server had been stopped.
TEST(Server, ARequestToStopAllServesWhatIsInTheAcceptQueue) {
    for (int round = 0; round < 20; ++round) {
        Runtime runtime({.workers = 2});
        Server server(router());
        const auto port =
            runtime.run([&] { return server.listen(net::SocketAddress::loopback(0)); })
                .value()
                .port();
        std::vector<TcpClient> clients;
        for (int i = 0; i < 20; ++i) {
            clients.emplace_back(port).send(kGet);
        }
        auto serving = runtime.spawn([&] { server.serve(); });
        runtime.request_stop();
        for (TcpClient& client : clients) {
            try {
                (void)client.receive_rest();  // an answer or none, but an end
            } catch (const std::system_error&) {
                // A reset is one, too.
            }
            client.close();
        }
        serving.join();
    }
}

// Each of them got a stack, to wait for its client's end on.
TEST(Server, StopLetsIdleClientsTakeTheirTimeWithoutAStackEach) {
    constexpr std::size_t kClients = 300;
    ServerOptions options;
    options.linger_timeout = seconds(1000);
    Served served(router(), options);
    std::vector<TcpClient> clients;
    for (std::size_t i = 0; i < kClients; ++i) {
        clients.emplace_back(served.port()).send(kGet);
        EXPECT_EQ(clients.back().receive().status, 200);
    }
    const std::uint64_t before = served.runtime().stats().stack_bytes;
    served.server().stop(Deadline::never());
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == kClients; }));
    const auto fibers = served.runtime().fibers();
    EXPECT_LT(std::count_if(fibers.begin(), fibers.end(),
                            [](const FiberInfo& fiber) {
                                return fiber.name == "http" && fiber.stack_bytes != 0;
                            }),
              32);
    EXPECT_LE(served.runtime().stats().stack_bytes, before + (32U << 20U));
    clients.clear();
    served.join();
}

TEST(Server, ALaterStopCanOnlyBringTheDeadlineForward) {
    Served served(router());
    TcpClient client(served.port());
    client.send("GET / HT");
    client.wait_until_read();
    served.server().stop(Deadline::never());
    EXPECT_FALSE(served.has_ended());
    served.server().stop(Deadline::after(milliseconds(1)));
    served.server().stop(Deadline::never());
    served.join();
}

TEST(Server, StopServesWhatIsInTheAcceptQueue) {
    Runtime runtime({.workers = 1});
    Server server(router());
    const auto port =
        runtime.run([&] { return server.listen(net::SocketAddress::loopback(0)); }).value().port();
    TcpClient client(port);
    client.send(kGet);
    // Nobody has accepted yet.
    server.stop(Deadline::after(seconds(1000)));
    runtime.run([&] { server.serve(); });
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.says_close());
    client.expect_end();
}

TEST(Server, StopMayComeWhileConnectionsCome) {
    for (int round = 0; round < 20; ++round) {
        Served served(router(), {}, 4);
        std::vector<std::thread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([port = served.port()] {
                try {
                    for (;;) {
                        TcpClient client(port);
                        client.send(kGet);
                        if (client.receive().says_close()) {
                            return;
                        }
                    }
                } catch (const std::exception&) {
                    // Refused or reset: the server has stopped.
                }
            });
        }
        EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().requests > 20; }));
        served.server().stop(Deadline::after(seconds(5)));
        served.join();
        EXPECT_EQ(served.stats().open, 0U);
        for (std::thread& thread : threads) {
            thread.join();
        }
    }
}

}  // namespace
}  // namespace coir::http
