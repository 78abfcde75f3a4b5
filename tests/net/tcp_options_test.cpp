#include <gtest/gtest.h>

#include <limits>

#include "coir/net/tcp_listener.hpp"
#include "coir/net/tcp_stream.hpp"
#include "net/connected.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::make_connection;
using test::soon;

TEST(TcpStream, KnowsWhetherItDelaysSmallWrites) {
    auto [client, server] = make_connection();
    EXPECT_TRUE(server.no_delay().value());
    ASSERT_TRUE(server.set_no_delay(false));
    EXPECT_FALSE(server.no_delay().value());
    ASSERT_TRUE(server.set_quick_ack(true));
}

TEST(TcpStream, KeepAliveIsOffUntilSetAndCanBeTurnedOff) {
    auto [client, server] = make_connection();
    EXPECT_FALSE(client.keep_alive().value());
    const KeepAlive how{.idle = 7s, .interval = 3s, .count = 2};
    ASSERT_TRUE(client.set_keep_alive(how));
    EXPECT_EQ(client.keep_alive().value(), how);
    ASSERT_TRUE(client.set_keep_alive(std::nullopt));
    EXPECT_FALSE(client.keep_alive().value());
}

TEST(TcpStream, KeepAliveRefusesTimesThatTheKernelCannotKeep) {
    auto [client, server] = make_connection();
    for (const auto& how : {KeepAlive{.idle = 0s}, KeepAlive{.idle = 32768s},
                            KeepAlive{.interval = std::chrono::seconds::max()},
                            KeepAlive{.count = 0}, KeepAlive{.count = 128}}) {
        EXPECT_EQ(client.set_keep_alive(how).error(), std::errc::invalid_argument);
    }
    EXPECT_FALSE(client.keep_alive().value());
}

TEST(TcpStream, TtlIsTheListenersUntilSet) {
    auto listener = test::listen_somewhere();
    ASSERT_TRUE(listener.set_ttl(17));
    EXPECT_EQ(listener.ttl().value(), 17);
    auto client = TcpStream::connect(listener.local_address().value(), soon()).value();
    auto server = listener.accept(soon()).value();
    EXPECT_EQ(server.ttl().value(), 17);
    ASSERT_TRUE(server.set_ttl(3));
    EXPECT_EQ(server.ttl().value(), 3);
    EXPECT_EQ(server.set_ttl(256).error(), std::errc::invalid_argument);
}

TEST(TcpStream, TtlIsTheHopLimitOfIpv6) {
    auto listener = TcpListener::bind(SocketAddress::parse("::1", 0).value());
    if (!listener) {
        GTEST_SKIP() << "no IPv6 loopback here: " << listener.error().message();
    }
    auto client = TcpStream::connect(listener->local_address().value(), soon()).value();
    ASSERT_TRUE(client.set_ttl(9));
    EXPECT_EQ(client.ttl().value(), 9);
}

TEST(TcpStream, ResetOnCloseCanBeTakenBack) {
    auto [client, server] = make_connection();
    EXPECT_FALSE(client.reset_on_close().value());
    ASSERT_TRUE(client.set_reset_on_close());
    EXPECT_TRUE(client.reset_on_close().value());
    ASSERT_TRUE(client.set_reset_on_close(false));
    EXPECT_FALSE(client.reset_on_close().value());
    { const TcpStream gone = std::move(client); }
    EXPECT_EQ(test::read_to_end(server), "");
}

TEST(TcpListener, AcceptFromTellsWhoHasConnected) {
    auto listener = test::listen_somewhere();
    auto client = TcpStream::connect(listener.local_address().value(), soon()).value();
    auto accepted = listener.accept_from(soon()).value();
    EXPECT_EQ(accepted.peer, client.local_address().value());
    EXPECT_EQ(accepted.peer, accepted.stream.peer_address().value());
    EXPECT_EQ(listener.accept_from(Deadline::after(5ms)).error(), std::errc::timed_out);
    EXPECT_FALSE(listener.take_error());
}

TEST(TcpListener, OnlyIpv6LeavesThePortsIpv4Side) {
    const auto any = SocketAddress::parse("::", 0).value();
    auto six = TcpListener::bind(any, {.only_ipv6 = true});
    if (!six) {
        GTEST_SKIP() << "no IPv6 here: " << six.error().message();
    }
    const auto port = six->local_address().value().port();
    EXPECT_EQ(TcpStream::connect(SocketAddress::loopback(port), soon()).error(),
              std::errc::connection_refused);
    EXPECT_TRUE(TcpListener::bind(SocketAddress::any(port)));
}

}  // namespace
}  // namespace coir::net
