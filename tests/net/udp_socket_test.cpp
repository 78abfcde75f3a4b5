#include "coir/net/udp_socket.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "net/socket_on.hpp"
#include "runtime/descriptors.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::as_space_of;
using test::soon;
using test::TwoSides;

class UdpSocketOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, UdpSocketOn, test::everywhere(), test::name_of);

UdpSocket bound_somewhere() {
    return UdpSocket::bind(SocketAddress::loopback(0)).value();
}

/// Two sockets, each connected to the other.
std::pair<UdpSocket, UdpSocket> connected_pair() {
    auto a = bound_somewhere();
    auto b = bound_somewhere();
    a.connect(b.local_address().value()).value();
    b.connect(a.local_address().value()).value();
    return {std::move(a), std::move(b)};
}

/// The next datagram, as text.
template <typename Socket>
std::string received_by(Socket& socket) {
    std::string space(2048, '\0');
    space.resize(socket.receive(as_space_of(space), soon()).value().size);
    return space;
}

TEST_P(UdpSocketOn, SendToAndReceiveFromKnowEachOther) {
    run([] {
        auto a = bound_somewhere();
        auto b = bound_somewhere();
        ASSERT_NE(a.local_address().value().port(), 0);
        ASSERT_TRUE(a.send_to(as_bytes_of("ping"), b.local_address().value(), soon()));
        std::string space(64, '\0');
        const auto got = b.receive_from(as_space_of(space), soon()).value();
        EXPECT_EQ(space.substr(0, got.size), "ping");
        EXPECT_FALSE(got.is_truncated());
        EXPECT_EQ(got.from, a.local_address().value());
        ASSERT_TRUE(b.send_to(as_bytes_of("pong"), got.from, soon()));
        EXPECT_EQ(received_by(a), "pong");
    });
}

TEST_P(UdpSocketOn, ReceiveWaitsForTheFirstDatagram) {
    run([] {
        auto [a, b] = connected_pair();
        TwoSides sides([&, &to = a] {
            this_fiber::yield();
            ASSERT_TRUE(to.send(as_bytes_of("x"), soon()));
        });
        EXPECT_EQ(received_by(b), "x");
        sides.join();
    });
}

TEST_P(UdpSocketOn, ManyDatagramsAreReceivedOneByOneAfterOneWait) {
    // Only the first comes with an edge of its own, if they come at once.
    run([] {
        auto [a, b] = connected_pair();
        std::string space(8, '\0');
        EXPECT_EQ(b.receive(as_space_of(space), Deadline::after(1ms)).error(),
                  std::errc::timed_out);
        for (int i = 0; i != 20; ++i) {
            ASSERT_TRUE(a.send(as_bytes_of(std::to_string(i)), soon()));
        }
        for (int i = 0; i != 20; ++i) {
            ASSERT_EQ(received_by(b), std::to_string(i));
        }
    });
}

TEST_P(UdpSocketOn, AReceiveThatTimesOutLeavesTheSocketUsable) {
    run([] {
        auto [a, b] = connected_pair();
        std::string space(8, '\0');
        for (int i = 0; i != 3; ++i) {
            EXPECT_EQ(b.receive(as_space_of(space), Deadline::after(3ms)).error(),
                      std::errc::timed_out);
        }
        ASSERT_TRUE(a.send(as_bytes_of("late"), soon()));
        EXPECT_EQ(received_by(b), "late");
    });
}

TEST_P(UdpSocketOn, ADatagramWithoutBytesIsReceived) {
    run([] {
        auto [a, b] = connected_pair();
        ASSERT_TRUE(a.send({}, soon()));
        ASSERT_TRUE(a.send(as_bytes_of("next"), soon()));
        std::string space(8, '\0');
        const auto got = b.receive(as_space_of(space), soon()).value();
        EXPECT_EQ(got.size, 0U);
        EXPECT_FALSE(got.is_truncated());
        EXPECT_EQ(received_by(b), "next");
    });
}

TEST_P(UdpSocketOn, ADatagramThatDoesNotFitIsReportedAsTruncated) {
    run([] {
        auto [a, b] = connected_pair();
        ASSERT_TRUE(a.send(as_bytes_of("0123456789"), soon()));
        ASSERT_TRUE(a.send(as_bytes_of("whole"), soon()));
        std::string space(4, '\0');
        const auto got = b.receive(as_space_of(space), soon()).value();
        EXPECT_EQ(got.size, 4U);
        EXPECT_EQ(got.whole_size, 10U);
        EXPECT_TRUE(got.is_truncated());
        EXPECT_EQ(space, "0123");
        EXPECT_EQ(received_by(b), "whole");
    });
}

TEST_P(UdpSocketOn, PeekLeavesTheDatagramAndTellsItsSize) {
    run([] {
        auto [a, b] = connected_pair();
        ASSERT_TRUE(a.send(as_bytes_of("0123456789"), soon()));
        EXPECT_EQ(b.peek({}, soon()).value().whole_size, 10U);
        std::string space(4, '\0');
        const auto got = b.peek_from(as_space_of(space), soon()).value();
        EXPECT_EQ(got.from, a.local_address().value());
        EXPECT_TRUE(got.is_truncated());
        EXPECT_EQ(received_by(b), "0123456789");
    });
}

TEST_P(UdpSocketOn, APeerThatDoesNotListenIsReportedAndTheSocketStaysUsable) {
    run([] {
        auto a = bound_somewhere();
        SocketAddress address;
        {
            const auto gone = bound_somewhere();
            address = gone.local_address().value();
        }
        ASSERT_TRUE(a.connect(address));
        ASSERT_TRUE(a.send(as_bytes_of("anybody?"), soon()));
        std::string space(8, '\0');
        EXPECT_EQ(a.receive(as_space_of(space), soon()).error(), std::errc::connection_refused);
        EXPECT_EQ(a.receive(as_space_of(space), Deadline::after(5ms)).error(),
                  std::errc::timed_out);
        auto b = UdpSocket::bind(address).value();
        ASSERT_TRUE(a.send(as_bytes_of("you"), soon()));
        EXPECT_EQ(received_by(b), "you");
    });
}

TEST_P(UdpSocketOn, APeerThatDoesNotListenIsReportedToAReceiverThatWaits) {
    run([] {
        auto a = bound_somewhere();
        {
            const auto gone = bound_somewhere();
            ASSERT_TRUE(a.connect(gone.local_address().value()));
        }
        TwoSides sides([&] {
            this_fiber::yield();
            ASSERT_TRUE(a.send(as_bytes_of("anybody?"), soon()));
        });
        std::string space(8, '\0');
        EXPECT_EQ(a.receive(as_space_of(space), soon()).error(), std::errc::connection_refused);
        sides.join();
    });
}

TEST(UdpSocket, AConnectedSocketDropsWhatStrangersSend) {
    auto [a, b] = connected_pair();
    auto stranger = bound_somewhere();
    ASSERT_TRUE(stranger.send_to(as_bytes_of("spam"), b.local_address().value(), soon()));
    ASSERT_TRUE(a.send(as_bytes_of("ham"), soon()));
    EXPECT_EQ(received_by(b), "ham");
    EXPECT_EQ(b.peer_address().value(), a.local_address().value());
    EXPECT_EQ(stranger.peer_address().error(), std::errc::not_connected);
}

TEST(UdpSocket, MisuseIsAnErrorAndNoHarm) {
    auto socket = bound_somewhere();
    EXPECT_EQ(socket.send(as_bytes_of("to whom?"), soon()).error(),
              std::errc::destination_address_required);
    const std::string large(70'000, 'x');
    EXPECT_EQ(socket.send_to(as_bytes_of(large), socket.local_address().value(), soon()).error(),
              std::errc::message_size);
    EXPECT_EQ(UdpSocket::bind(socket.local_address().value()).error(), std::errc::address_in_use);
    ASSERT_TRUE(socket.send_to(as_bytes_of("me"), socket.local_address().value(), soon()));
    EXPECT_EQ(received_by(socket), "me");
}

TEST(UdpSocket, SharePortLetsSeveralBindOnePort) {
    auto first = UdpSocket::bind(SocketAddress::loopback(0), {.share_port = true}).value();
    const auto address = first.local_address().value();
    EXPECT_TRUE(UdpSocket::bind(address, {.share_port = true}));
    EXPECT_EQ(UdpSocket::bind(address).error(), std::errc::address_in_use);
}

TEST(UdpSocket, BroadcastIsForbiddenUntilAllowed) {
    auto socket = bound_somewhere();
    const auto everybody = SocketAddress::parse("127.255.255.255", 9).value();
    EXPECT_FALSE(socket.broadcast().value());
    EXPECT_EQ(socket.send_to(as_bytes_of("x"), everybody, soon()).error(),
              std::errc::permission_denied);
    ASSERT_TRUE(socket.set_broadcast(true));
    EXPECT_TRUE(socket.broadcast().value());
    EXPECT_TRUE(socket.send_to(as_bytes_of("x"), everybody, soon()));
}

TEST(UdpSocket, OptionsAreWhatWasSet) {
    auto socket = bound_somewhere();
    ASSERT_TRUE(socket.set_ttl(5));
    EXPECT_EQ(socket.ttl().value(), 5);
    ASSERT_TRUE(socket.set_receive_buffer_bytes(32 * 1024));
    EXPECT_EQ(socket.receive_buffer_bytes().value(), 64 * 1024);
    ASSERT_TRUE(socket.set_send_buffer_bytes(16 * 1024));
    EXPECT_EQ(socket.send_buffer_bytes().value(), 32 * 1024);
    EXPECT_FALSE(socket.take_error());
}

TEST(UdpSocket, WorksOverIpv6) {
    auto a = UdpSocket::bind(SocketAddress::parse("::1", 0).value(), {.only_ipv6 = true});
    if (!a) {
        GTEST_SKIP() << "no IPv6 loopback here: " << a.error().message();
    }
    auto b = UdpSocket::bind(SocketAddress::parse("::1", 0).value()).value();
    ASSERT_TRUE(a->send_to(as_bytes_of("six"), b.local_address().value(), soon()));
    std::string space(8, '\0');
    EXPECT_EQ(b.receive_from(as_space_of(space), soon()).value().from, a->local_address().value());
}

class UdpClose : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, UdpClose, testing::Values(1, 2, 4));

TEST_P(UdpClose, EndsAReceiveWithOperationCanceled) {
    Runtime runtime({.workers = GetParam()});
    runtime.run([] {
        for (int round = 0; round != 100; ++round) {
            auto [a, b] = connected_pair();
            // A connected socket and one that is not: the kernel treats their shutdown differently.
            auto alone = bound_somewhere();
            UdpSocket& socket = round % 2 == 0 ? b : alone;
            auto receiver = spawn([&] {
                std::array<std::byte, 16> space;
                return socket.receive(space, soon());
            });
            for (int i = 0; i != round % 8; ++i) {
                this_fiber::yield();
            }
            socket.close();
            ASSERT_EQ(receiver.join().error(), std::errc::operation_canceled);
            EXPECT_FALSE(socket.is_open());
            ASSERT_EQ(socket.send(as_bytes_of("x"), soon()).error(), std::errc::operation_canceled);
        }
    });
}

TEST(UdpSocket, CloseEndsAReceiveOnAPlainThread) {
    auto socket = bound_somewhere();
    std::thread closer([&] { socket.close(); });
    std::array<std::byte, 16> space;
    EXPECT_EQ(socket.receive(space, soon()).error(), std::errc::operation_canceled);
    closer.join();
}

TEST(UdpSocket, LeavesNoDescriptorBehind) {
    const auto before = test::open_descriptors();
    {
        auto [a, b] = connected_pair();
        UdpSocket moved = std::move(a);
        moved = std::move(b);
        EXPECT_EQ(test::open_descriptors(), before + 1);
    }
    EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace
}  // namespace coir::net
