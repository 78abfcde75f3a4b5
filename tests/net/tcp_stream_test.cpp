#include "coir/net/tcp_stream.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <thread>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "net/socket_on.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::as_space_of;
using test::Connected;
using test::make_connection;
using test::soon;
using test::TwoSides;
using Clock = Deadline::Clock;

class TcpStreamOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, TcpStreamOn, test::everywhere(), test::name_of);

TEST_P(TcpStreamOn, ReadSomeReturnsWhatHasArrived) {
    run([] {
        auto [client, server] = make_connection();
        ASSERT_TRUE(client.write_all(as_bytes_of("hello"), soon()));
        std::array<std::byte, 64> space;
        const auto read = server.read_some(space, soon());
        ASSERT_TRUE(read);
        EXPECT_EQ(*read, 5U);
    });
}

TEST_P(TcpStreamOn, ReadSomeWaitsForTheFirstByte) {
    run([] {
        Connected ends = make_connection();
        TwoSides sides([&] {
            this_fiber::sleep_for(5ms);
            ASSERT_TRUE(ends.client.write_all(as_bytes_of("x"), soon()));
        });
        std::array<std::byte, 64> space;
        const auto read = ends.server.read_some(space, soon());
        EXPECT_EQ(read.value(), 1U);
        sides.join();
    });
}

TEST_P(TcpStreamOn, BytesBehindAnUrgentOneDoNotWaitForMore) {
    run([] {
        auto [client, server] = make_connection();
        std::string space(64, '\0');
        ASSERT_TRUE(client.write_all(as_bytes_of("so that it waits"), soon()));
        ASSERT_TRUE(server.read_some(as_space_of(space), soon()));
        ASSERT_TRUE(client.write_all(as_bytes_of("abc"), soon()));
        ASSERT_EQ(::send(client.native_handle(), "!", 1, MSG_OOB), 1);
        ASSERT_TRUE(client.write_all(as_bytes_of("def"), soon()));
        this_fiber::sleep_for(5ms);  // so that one edge tells of all that
        std::string read;
        while (read.size() != 6) {
            const auto size = server.read_some(as_space_of(space), soon());
            ASSERT_TRUE(size) << size.error().message();
            read.append(space, 0, *size);
        }
        EXPECT_EQ(read, "abcdef");
    });
}

TEST_P(TcpStreamOn, ReadSomeReturnsZeroAfterPeerShutdown) {
    run([] {
        auto [client, server] = make_connection();
        ASSERT_TRUE(client.write_all(as_bytes_of("bye"), soon()));
        ASSERT_TRUE(client.shutdown(Shutdown::write));
        EXPECT_EQ(test::read_to_end(server), "bye");
        std::array<std::byte, 4> space;
        EXPECT_EQ(server.read_some(space, soon()).value(), 0U);
        EXPECT_EQ(server.read_some(space, soon()).value(), 0U);
    });
}

TEST_P(TcpStreamOn, TheOtherDirectionStaysOpenAfterAHalfClose) {
    run([] {
        auto [client, server] = make_connection();
        ASSERT_TRUE(client.shutdown(Shutdown::write));
        EXPECT_EQ(test::read_to_end(server), "");
        ASSERT_TRUE(server.write_all(as_bytes_of("still here"), soon()));
        ASSERT_TRUE(server.shutdown(Shutdown::both));
        EXPECT_EQ(test::read_to_end(client), "still here");
    });
}

TEST_P(TcpStreamOn, ReadExactSaysUnexpectedEofWhereBytesWerePromised) {
    run([] {
        auto [client, server] = make_connection();
        ASSERT_TRUE(client.write_all(as_bytes_of("abcdef"), soon()));
        ASSERT_TRUE(client.shutdown(Shutdown::write));
        std::array<std::byte, 4> space;
        EXPECT_TRUE(server.read_exact(space, soon()));
        EXPECT_EQ(server.read_exact(space, soon()).error(), Errc::unexpected_eof);
    });
}

TEST_P(TcpStreamOn, AReadThatTimesOutLeavesTheStreamUsable) {
    run([] {
        auto [client, server] = make_connection();
        std::array<std::byte, 8> space;
        for (int i = 0; i != 3; ++i) {
            const auto begin = Clock::now();
            EXPECT_EQ(server.read_some(space, Deadline::after(5ms)).error(), std::errc::timed_out);
            EXPECT_GE(Clock::now() - begin, 5ms);
        }
        ASSERT_TRUE(client.write_all(as_bytes_of("late"), soon()));
        EXPECT_EQ(server.read_some(space, soon()).value(), 4U);
    });
}

TEST_P(TcpStreamOn, BytesThatWaitAreReadEvenIfTheDeadlineHasPassed) {
    run([] {
        auto [client, server] = make_connection();
        ASSERT_TRUE(client.write_all(as_bytes_of("x"), soon()));
        std::array<std::byte, 8> space;
        ASSERT_TRUE(server.wait_readable(soon()));
        while (server.read_some(space, soon()).value() == 0) {
        }
        ASSERT_TRUE(client.write_all(as_bytes_of("y"), soon()));
        this_fiber::sleep_for(5ms);
        EXPECT_EQ(server.read_some(space, soon()).value(), 1U);
    });
}

TEST_P(TcpStreamOn, WriteAllWaitsForASlowReader) {
    run([] {
        Connected ends = make_connection();
        test::make_buffers_small(ends);
        const std::string text =
            test::pattern(48 * 1024);  // the kernel takes 50 KiB a second this way
        std::string received;
        TwoSides sides([&] {
            this_fiber::sleep_for(5ms);
            received = test::read_to_end(ends.server, 3000);
        });
        ASSERT_TRUE(ends.client.write_all(as_bytes_of(text), soon()));
        ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        sides.join();
        EXPECT_EQ(received == text, true);  // not all of it in the message
    });
}

TEST_P(TcpStreamOn, WriteAllOfManyPiecesKeepsTheirOrderAcrossPartialWrites) {
    run([] {
        Connected ends = make_connection();
        test::make_buffers_small(ends);
        const std::string text = test::pattern(40 * 1000);
        // Sizes 0, 1, 2, ..., so that writes end in the middle of pieces, and empty ones at both ends.
        std::vector<std::span<const std::byte>> pieces(3);
        std::size_t at = 0;
        for (std::size_t size = 0; at != text.size(); ++size) {
            const auto piece = as_bytes_of(text).subspan(at, std::min(size, text.size() - at));
            pieces.push_back(piece);
            at += piece.size();
        }
        pieces.resize(pieces.size() + 70);
        ASSERT_GT(pieces.size(), 64U);
        std::string received;
        TwoSides sides([&] {
            this_fiber::sleep_for(5ms);
            received = test::read_to_end(ends.server, 1000);
        });
        ASSERT_TRUE(ends.client.write_all(pieces, soon()));
        ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        sides.join();
        EXPECT_EQ(received == text, true);
    });
}

TEST_P(TcpStreamOn, AWriteToAPeerThatDoesNotReadTimesOut) {
    run([] {
        Connected ends = make_connection();
        const std::string text = test::pattern(16 << 20);
        const auto begin = Clock::now();
        EXPECT_EQ(ends.client.write_all(as_bytes_of(text), Deadline::after(50ms)).error(),
                  std::errc::timed_out);
        EXPECT_GE(Clock::now() - begin, 50ms);
    });
}

TEST_P(TcpStreamOn, AWriteTimesOutAlsoIfThePeerHasFinishedSending) {
    // The peer's half-close once ended every wait for space at once: the worker then ran in a circle
    // of send() and EAGAIN, past the deadline, for as long as the peer did not read.
    run([] {
        Connected ends = make_connection();
        TwoSides sides([&] {
            this_fiber::sleep_for(5ms);
            ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        });
        EXPECT_EQ(test::read_to_end(ends.server), "");  // waits first: the poller hears of it
        sides.join();
        const std::string text = test::pattern(16 << 20);
        EXPECT_EQ(ends.server.write_all(as_bytes_of(text), Deadline::after(50ms)).error(),
                  std::errc::timed_out);
    });
}

TEST_P(TcpStreamOn, WritingToAPeerThatHasGoneFails) {
    run([] {
        Connected ends = make_connection();
        ASSERT_TRUE(ends.client.set_reset_on_close());
        { const TcpStream gone = std::move(ends.client); }
        std::error_code error;
        for (int i = 0; i != 100 && !error; ++i) {
            error = ends.server.write_all(as_bytes_of("anybody?"), soon()).error();
            this_fiber::sleep_for(1ms);
        }
        EXPECT_TRUE(error == std::errc::broken_pipe || error == std::errc::connection_reset)
            << error.message();
    });
}

TEST_P(TcpStreamOn, AResetIsReportedToTheReader) {
    run([] {
        Connected ends = make_connection();
        TwoSides sides([&] {
            this_fiber::sleep_for(5ms);
            ASSERT_TRUE(ends.client.set_reset_on_close());
            const TcpStream gone = std::move(ends.client);
        });
        std::array<std::byte, 8> space;
        EXPECT_EQ(ends.server.read_some(space, soon()).error(), std::errc::connection_reset);
        sides.join();
    });
}

TEST_P(TcpStreamOn, ConnectIsRefusedWhereNobodyListens) {
    run([] {
        // Bound, so that nobody else can listen there.
        const UniqueFd silent = syscall::socket(AF_INET, SOCK_STREAM, 0).value();
        const auto any_port = SocketAddress::loopback(0);
        syscall::bind(silent.get(), any_port.native(), any_port.native_size()).value();
        sockaddr_storage bound{};
        socklen_t length = sizeof(bound);
        syscall::local_address(silent.get(), bound, length).value();
        const auto address = SocketAddress::from_native(bound);
        EXPECT_EQ(TcpStream::connect(address, soon()).error(), std::errc::connection_refused);
    });
}

TEST_P(TcpStreamOn, ConnectTimesOutWhenTheQueueIsFull) {
    run([] {
        auto listener = test::listen_somewhere({.backlog = 0});
        const auto address = listener.local_address().value();
        std::vector<TcpStream> queued;
        std::error_code error;
        while (!error && queued.size() < 64) {
            auto stream = TcpStream::connect(address, Deadline::after(50ms));
            error = stream.error();
            if (stream) {
                queued.push_back(std::move(*stream));
            }
        }
        EXPECT_EQ(error, std::errc::timed_out);
    });
}

TEST_P(TcpStreamOn, BothEndsKnowBothAddresses) {
    run([] {
        auto [client, server] = make_connection();
        EXPECT_EQ(client.local_address().value(), server.peer_address().value());
        EXPECT_EQ(client.peer_address().value(), server.local_address().value());
        EXPECT_EQ(client.local_address().value().host_to_string(), "127.0.0.1");
    });
}

TEST_P(TcpStreamOn, WorksOverIpv6) {
    run([] {
        auto listener = TcpListener::bind(SocketAddress::parse("::1", 0).value());
        if (!listener) {
            GTEST_SKIP() << "no IPv6 loopback here: " << listener.error().message();
        }
        auto client = TcpStream::connect(listener->local_address().value(), soon()).value();
        auto server = listener->accept(soon()).value();
        ASSERT_TRUE(client.write_all(as_bytes_of("six"), soon()));
        ASSERT_TRUE(client.shutdown(Shutdown::write));
        EXPECT_EQ(test::read_to_end(server), "six");
        EXPECT_EQ(server.peer_address().value().host_to_string(), "::1");
        EXPECT_EQ(server.peer_address().value(), client.local_address().value());
    });
}

TEST(TcpStream, InheritsNoDelayFromItsListener) {
    auto [client, server] = make_connection();
    EXPECT_EQ(syscall::get_option(server.native_handle(), IPPROTO_TCP, TCP_NODELAY).value(), 1);
}

TEST(TcpStream, KnowsWhatHasNotReachedThePeer) {
    Connected ends = make_connection();
    test::make_buffers_small(ends);
    EXPECT_EQ(ends.client.unconfirmed_bytes().value(), 0U);
    const std::string text = test::pattern(48 * 1024);
    std::thread writer([&] { ASSERT_TRUE(ends.client.write_all(as_bytes_of(text), soon())); });
    EXPECT_TRUE(
        test::holds_before(soon(), [&] { return ends.client.unconfirmed_bytes().value() != 0; }));
    std::string received(text.size(), '\0');
    ASSERT_TRUE(ends.server.read_exact(std::as_writable_bytes(std::span(received)), soon()));
    writer.join();
    EXPECT_TRUE(
        test::holds_before(soon(), [&] { return ends.client.unconfirmed_bytes().value() == 0; }));
}

TEST(TcpStream, OneNotYetConnectedIsNotOpen) {
    EXPECT_FALSE(TcpStream().is_open());
}

}  // namespace
}  // namespace coir::net
