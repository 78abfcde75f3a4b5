// Descriptors: none is left behind, and running out of them ends nothing.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "server/arena_requests.hpp"
#include "server/expect_answer.hpp"
#include "support/patience.hpp"
#include "support/server_process.hpp"
#include "support/tcp_client.hpp"

namespace coir::test {
namespace {

/// One of the ways in which clients come and go. True if the connection is to stay for a while.
bool use(TcpClient& client, const Exchange& exchange, std::size_t way) {
    const std::string half = exchange.request.substr(0, exchange.request.size() / 2);
    switch (way) {
        case 0:
            client.send(exchange.request);
            expect_answer(client, exchange);
            return true;
        case 1:
            client.send(exchange.request);
            client.reset();  // with the answer on its way
            return false;
        case 2: client.send(half); return true;
        case 3:
            client.send(half);
            client.reset();
            return false;
        case 4:
            client.send(exchange.request + half);
            expect_answer(client, exchange);
            client.reset();
            return false;
        case 5: client.reset(); return false;
        case 6:
            client.send(exchange.request);
            client.finish_sending();
            (void)client.receive_rest();
            return false;
        default: return true;  // comes and says nothing
    }
}

/// Many connections one after another, up to 100 of them at a time; all are gone at the end.
void come_and_go(std::uint16_t port, int count, std::minstd_rand& random) {
    const std::vector<Exchange> shapes = arena_exchanges();
    std::deque<TcpClient> open;
    for (int i = 0; i != count; ++i) {
        TcpClient client(port);
        if (use(client, shapes[random() % shapes.size()], random() % 8)) {
            open.push_back(std::move(client));
        }
        if (open.size() > 100) {
            open.pop_front();
        }
    }
}

TEST(Descriptors, NoneIsLeftWhenTenThousandConnectionsHaveComeAndGone) {
    constexpr unsigned kSeed = 20'240'611;
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    std::minstd_rand random(kSeed);
    RunningServer server;
    const ServerProcess& process = server.process();
    // The first ones make sure that every worker has opened what it keeps.
    come_and_go(server.port(), 300, random);
    const std::size_t before = process.settled_descriptors();
    come_and_go(server.port(), 10'000, random);
    EXPECT_TRUE(holds_before(soon(), [&] { return process.open_descriptors() <= before; }))
        << process.open_descriptors() << " are open, " << before << " were before";
    {
        TcpClient client(server.port());
        expect_alive(client);
    }
    server.stop();  // and no memory is left, says the address sanitizer
}

/// For this process and those it starts.
void set_descriptor_limit(rlim_t limit) {
    const rlimit limits{limit, limit};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limits), 0);
}

TEST(Descriptors, RunningOutOfThemKeepsTheServerServing) {
    // Its hard limit is lowered after its start; the test needs more descriptors itself.
    RunningServer server({"--workers", "1"});
    const rlimit low{40, 40};
    ASSERT_EQ(::prlimit(server.process().pid(), RLIMIT_NOFILE, &low, nullptr), 0);
    TcpClient early(server.port());
    expect_alive(early);
    {
        std::vector<TcpClient> crowd;
        for (int i = 0; i != 100; ++i) {
            crowd.emplace_back(server.port());
            (void)crowd.back().try_send(request_for("/pipeline"));
        }
        for (int i = 0; i != 100; ++i) {
            expect_alive(early);
        }
    }
    // Who comes before the server has seen the others go is rightly told that it is full.
    ASSERT_TRUE(holds_before(soon(), [&] { return server.process().open_descriptors() < 35; }));
    TcpClient late(server.port());
    expect_alive(late);
    expect_alive(early);
}

TEST(Descriptors, TooFewOfThemAreAnErrorAtTheStart) {
    set_descriptor_limit(79);
    ServerProcess two({"--port", "0", "--workers", "2"});
    EXPECT_EQ(two.wait_for_end(), ProcessEnd{.exit_code = 1});
    EXPECT_EQ(two.error_text(),
              "coir-server: the limit of open descriptors (ulimit -n) is 79, and 2 workers need at "
              "least 80\n");

    set_descriptor_limit(71);
    ServerProcess one({"--port", "0", "--workers", "1"});
    EXPECT_EQ(one.wait_for_end(), ProcessEnd{.exit_code = 1});
    EXPECT_EQ(one.error_text(),
              "coir-server: the limit of open descriptors (ulimit -n) is 71, and 1 worker needs at "
              "least 72\n");
}

TEST(Descriptors, TheSoftLimitIsRaised) {
    rlimit limits{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limits), 0);
    limits.rlim_cur = 60;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limits), 0);
    RunningServer server;
    rlimit found{};
    ASSERT_EQ(::prlimit(server.process().pid(), RLIMIT_NOFILE, nullptr, &found), 0);
    EXPECT_EQ(found.rlim_cur, limits.rlim_max);
}

}  // namespace
}  // namespace coir::test
