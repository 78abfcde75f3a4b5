#include "coir/http/server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/net/tcp_listener.hpp"
#include "served.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::holds_before;
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

// The 503 was written and the socket closed with the request unread in it, which is a reset.
TEST(Server, TheRefusalReachesAClientWhoseRequestHasArrived) {
    ServerOptions options;
    options.max_connections = 1;
    options.linger_timeout = seconds(1000);
    Served served(router(), options, 1);
    TcpClient first(served.port());
    first.send(kGet);
    EXPECT_EQ(first.receive().status, 200);
    std::atomic<bool> holds = false;
    std::atomic<bool> may_go_on = false;
    auto holder = served.runtime().spawn([&] {
        holds = true;
        while (!may_go_on) {  // and lets nobody accept
        }
    });
    EXPECT_TRUE(holds_before(soon(), [&] { return holds.load(); }));
    TcpClient second(served.port());
    second.send(kGet);
    may_go_on = true;
    holder.join();
    EXPECT_EQ(second.receive().status, 503);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 1; }));
    // What comes behind the refusal is no reason for a reset either.
    second.send(kGet);
    EXPECT_EQ(second.receive_rest(), "");
    EXPECT_EQ(served.stats().open, 1U);
    second.close();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 0; }));
}

TEST(Server, NoMoreRefusedClientsLingerThanMayAndAStopWaitsForThem) {
    ServerOptions options;
    options.max_connections = 0;
    options.max_lingering_connections = 2;
    options.linger_timeout = seconds(1000);
    Served served(router(), options, 2);
    std::vector<TcpClient> clients;
    for (int i = 0; i < 10; ++i) {
        clients.emplace_back(served.port());
        EXPECT_EQ(clients.back().receive().status, 503);
    }
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 2; }));
    served.server().stop(Deadline::never());
    clients.clear();
    served.join();
    EXPECT_EQ(served.stats().lingering, 0U);
}

TEST(Server, OneAddressGetsOnlySoManyConnections) {
    ServerOptions options;
    options.max_connections_per_address = 2;
    Served served(router(), options);
    std::vector<TcpClient> clients;
    for (int i = 0; i < 2; ++i) {
        clients.emplace_back(served.port());
        clients.back().send(kGet);
        EXPECT_EQ(clients.back().receive().status, 200);
    }
    TcpClient third(served.port());
    EXPECT_EQ(third.receive().status, 503);
    clients.pop_back();
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
