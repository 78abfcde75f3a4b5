#include "coir/http/server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/net/tcp_listener.hpp"
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

TEST(Server, SpreadsConnectionsOverItsWorkers) {
    Served served(router(), {}, 4);
    std::vector<TcpClient> clients;
    for (int i = 0; i < 200; ++i) {
        clients.emplace_back(served.port()).send(kGet);
    }
    for (TcpClient& client : clients) {
        EXPECT_EQ(client.receive().body, "ok");
    }
    EXPECT_EQ(served.stats().accepted, 200U);
    EXPECT_EQ(served.stats().open, 200U);
    EXPECT_EQ(served.stats().requests, 200U);
    clients.clear();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
}

TEST(Server, SaysWhatItIsOnlyIfTold) {
    ServerOptions options;
    options.server_name = "coir/1";
    Served served(router(), options);
    TcpClient client(served.port());
    client.send(std::string(kGet) + "GET /none HTTP/1.1\r\nHost: a\r\n\r\nX");
    EXPECT_EQ(client.receive().field("Server"), "coir/1");
    EXPECT_EQ(client.receive().field("Server"), "coir/1");
    client.send("\n");
    EXPECT_EQ(client.receive().field("Server"), "coir/1");
    Served silent(router());
    TcpClient other(silent.port());
    other.send(kGet);
    EXPECT_EQ(other.receive().field("Server"), std::nullopt);
}

TEST(Server, TakesNoNameThatWouldBreakItsReplies) {
    for (const char* name : {"coir\r\nSet-Cookie: a=b", "coir\n", "\r"}) {
        ServerOptions options;
        options.server_name = name;
        EXPECT_THROW(Server(router(), options), std::invalid_argument) << name;
    }
}

TEST(Server, RefusesAPortThatIsInUse) {
    Served served(router());
    Runtime runtime({.workers = 2});
    const auto why = [&](net::SocketAddress address) {
        return runtime.run([address] {
            Server second(router());
            return second.listen(address).error();
        });
    };
    EXPECT_EQ(why(served.address()), std::errc::address_in_use);
    // Another program's SO_REUSEPORT is no invitation.
    auto shared = net::TcpListener::bind(net::SocketAddress::loopback(0), {.share_port = true});
    EXPECT_EQ(why(shared.value().local_address().value()), std::errc::address_in_use);
}

TEST(Server, ListensOnlyInARuntime) {
    Server server(router());
    EXPECT_EQ(server.listen(net::SocketAddress::loopback(0)).error(),
              make_error_code(Errc::not_a_fiber));
}

TEST(Server, ListensOnSeveralAddresses) {
    Runtime runtime({.workers = 2});
    Server server(router());
    std::vector<net::SocketAddress> addresses;
    runtime.run([&] {
        addresses.push_back(server.listen(net::SocketAddress::loopback(0)).value());
        addresses.push_back(server.listen(net::SocketAddress::loopback(0)).value());
    });
    auto serving = runtime.spawn([&] { server.serve(); });
    for (const auto& address : addresses) {
        TcpClient client(address.port());
        client.send(kGet);
        EXPECT_EQ(client.receive().body, "ok");
    }
    server.stop(Deadline::after(seconds(0)));
    serving.join();
}

TEST(Server, MoreConnectionsThanTheLimitGet503) {
    ServerOptions options;
    options.max_connections = 2;
    Served served(router(), options, 1);
    TcpClient first(served.port());
    TcpClient second(served.port());
    for (TcpClient* client : {&first, &second}) {
        client->send(kGet);
        EXPECT_EQ(client->receive().status, 200);
    }
    TcpClient third(served.port());
    EXPECT_EQ(third.receive().status, 503);
    third.expect_end();
    EXPECT_EQ(served.stats().refused, 1U);
    first.close();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 1; }));
    TcpClient fourth(served.port());
    fourth.send(kGet);
    EXPECT_EQ(fourth.receive().status, 200);
}

// Each acceptor compared first and counted later, so that two could take the last place.
TEST(Server, AllAcceptorsTogetherKeepTheLimit) {
    for (int round = 0; round < 10; ++round) {
        ServerOptions options;
        options.max_connections = 10;
        Served served(router(), options, 4);
        std::vector<std::vector<TcpClient>> clients(4);
        std::vector<std::thread> threads;
        for (auto& some : clients) {
            threads.emplace_back([&some, port = served.port()] {
                for (int i = 0; i < 20; ++i) {
                    some.emplace_back(port);
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().refused == 70; }));
        EXPECT_EQ(served.stats().accepted, 80U);
        EXPECT_EQ(served.stats().open, 10U);
    }
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
    served.join();
    EXPECT_EQ(served.stats().open, 0U);
    EXPECT_EQ(coir::test::listening_sockets(::getpid()), 0U);
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
    Served served(std::move(routes));
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

TEST(Server, ServesSeveralTimesInOneProcess) {
    for (int i = 0; i < 3; ++i) {
        Served served(router());
        TcpClient client(served.port());
        client.send(kGet);
        EXPECT_EQ(client.receive().status, 200);
    }
}

/// Lowers the descriptor limit to what is open now and a few more, as long as it lives.
class FewDescriptors final {
public:
    explicit FewDescriptors(int more) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const UniqueFd next(::dup(0));
        rlimit low = before_;
        low.rlim_cur = static_cast<rlim_t>(next.get() + more);
        ::setrlimit(RLIMIT_NOFILE, &low);
    }
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

TEST(Server, SurvivesTheDescriptorLimitWithoutSpinning) {
    Served served(router(), {}, 1);
    TcpClient before(served.port());
    before.send(kGet);
    EXPECT_EQ(before.receive().status, 200);
    {
        // The client takes one descriptor of each pair, so the server meets the limit.
        const FewDescriptors few(7);
        std::vector<TcpClient> clients;
        EXPECT_TRUE(holds_before(soon(), [&] {
            try {
                clients.emplace_back(served.port());
            } catch (const std::exception&) {
                if (clients.size() > 1) {
                    clients.pop_back();
                }
            }
            return served.stats().accept_errors >= 2 && served.stats().refused >= 1;
        }));
        before.send(kGet);
        EXPECT_EQ(before.receive().status, 200);
        const auto errors = served.stats().accept_errors;
        std::this_thread::sleep_for(milliseconds(200));
        EXPECT_LT(served.stats().accept_errors - errors, 50U);
    }
    TcpClient after(served.port());
    after.send(kGet);
    EXPECT_EQ(after.receive().status, 200);
}

}  // namespace
}  // namespace coir::http
