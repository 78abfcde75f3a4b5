#include "coir/net/select.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <span>
#include <string_view>

#include "coir/net/tcp_stream.hpp"
#include "coir/net/udp_socket.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::soon;

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

template <typename F>
void on_a_fiber(F body) {
    Runtime runtime({.workers = 2});
    runtime.run(body);
}

TEST(SelectSockets, WaitsForTheStreamThatHasBytes) {
    on_a_fiber([] {
        auto [quiet, quiet_peer] = test::make_connection();
        auto [client, server] = test::make_connection();
        std::array<std::byte, 8> space;
        for (int round = 0; round != 50; ++round) {
            // Once waiting first, once with the bytes there, and with what a short read has left.
            test::JoinedFiber writer =
                spawn([&] { EXPECT_TRUE(client.write_all(bytes("abc"), soon())); });
            if (round % 2 == 0) {
                this_fiber::sleep_for(200us);
            }
            const auto chosen = select_until(soon(), on_readable(quiet), on_readable(server));
            ASSERT_TRUE(chosen);
            EXPECT_EQ(*chosen, 1U);
            const auto read = server.read_some(space, soon());
            ASSERT_TRUE(read);
            if (*read != 3) {
                ASSERT_TRUE(server.read_exact(std::span(space).first(3 - *read), soon()));
            }
            writer.join();
        }
        EXPECT_EQ(
            select_until(Deadline::after(2ms), on_readable(quiet), on_readable(server)).error(),
            std::errc::timed_out);
    });
}

TEST(SelectSockets, AStreamThatWasNotChosenStillReads) {
    on_a_fiber([] {
        auto [client, server] = test::make_connection();
        auto [other_client, other_server] = test::make_connection();
        for (int round = 0; round != 50; ++round) {
            test::JoinedFiber writer = spawn([&] {
                EXPECT_TRUE(client.write_all(bytes("a"), soon()));
                EXPECT_TRUE(other_client.write_all(bytes("b"), soon()));
            });
            ASSERT_TRUE(select_until(soon(), on_readable(server), on_readable(other_server)));
            std::array<std::byte, 1> space;
            ASSERT_TRUE(other_server.read_exact(space, soon()));
            ASSERT_TRUE(server.read_exact(space, soon()));
            writer.join();
        }
    });
}

TEST(SelectSockets, TellsOfTheEndAndOfAClose) {
    on_a_fiber([] {
        auto [client, server] = test::make_connection();
        ASSERT_TRUE(client.shutdown(Shutdown::write));
        std::array<std::byte, 1> space;
        ASSERT_TRUE(select_until(soon(), on_readable(server)));
        EXPECT_EQ(*server.read_some(space, soon()), 0U);
        test::JoinedFiber closer = spawn([&] {
            this_fiber::sleep_for(1ms);
            client.close();
        });
        std::error_code seen;
        ASSERT_TRUE(select_until(
            soon(), on_readable(client, [&](Result<void> ready) { seen = ready.error(); })));
        EXPECT_EQ(seen, std::errc::operation_canceled);
        closer.join();
    });
}

TEST(SelectSockets, WaitsForRoomToWrite) {
    on_a_fiber([] {
        auto [client, server] = test::make_connection();
        EXPECT_EQ(*select_until(soon(), on_writable(client)), 0U);
        const std::array<std::byte, 16 * 1024> block{};
        while (client.try_write_some(block)) {
        }
        EXPECT_EQ(select_until(Deadline::after(2ms), on_writable(client)).error(),
                  std::errc::timed_out);
        test::JoinedFiber reader = spawn([&server = server] {
            std::array<std::byte, 4096> space;
            for (int i = 0; i != 2000 && server.read_some(space, Deadline::after(50ms)); ++i) {
            }
        });
        EXPECT_EQ(*select_until(soon(), on_writable(client)), 0U);
        reader.join();
    });
}

TEST(SelectSockets, WaitsForListenersDatagramsAndHalves) {
    on_a_fiber([] {
        auto listener = TcpListener::bind(SocketAddress::loopback(0)).value();
        auto datagrams = UdpSocket::bind(SocketAddress::loopback(0)).value();
        auto [client, server] = test::make_connection();
        auto [reader, writer] = std::move(server).split();
        for (std::size_t which = 0; which != 3; ++which) {
            test::JoinedFiber peer = spawn([&, which, &client = client] {
                this_fiber::sleep_for(500us);
                if (which == 0) {
                    EXPECT_TRUE(TcpStream::connect(listener.local_address().value(), soon()));
                } else if (which == 1) {
                    auto sender = UdpSocket::bind(SocketAddress::loopback(0)).value();
                    EXPECT_TRUE(
                        sender.send_to(bytes("x"), datagrams.local_address().value(), soon()));
                } else {
                    EXPECT_TRUE(client.write_all(bytes("x"), soon()));
                }
            });
            const auto chosen = select_until(soon(), on_readable(listener), on_readable(datagrams),
                                             on_readable(reader));
            ASSERT_TRUE(chosen);
            EXPECT_EQ(*chosen, which);
            std::array<std::byte, 8> space;
            if (which == 0) {
                EXPECT_TRUE(listener.accept(soon()));
            } else if (which == 1) {
                EXPECT_TRUE(datagrams.receive(space, soon()));
            } else {
                EXPECT_TRUE(reader.read_some(space, soon()));
            }
            peer.join();
        }
    });
}

// A peer that never stops sending must not keep a fiber that has been asked to stop.
TEST(SelectSockets, AFiberThatIsAskedToStopReadsNoFurtherThoughBytesAreThere) {
    on_a_fiber([] {
        auto [client, server] = test::make_connection();
        ASSERT_TRUE(client.write_all(bytes("much to read, byte by byte"), soon()));
        std::atomic<bool> has_read{false};
        auto reader = spawn([&, &server = server] {
            std::array<std::byte, 1> space;
            EXPECT_TRUE(server.read_some(space, soon()));
            has_read = true;
            while (!this_fiber::stop_requested()) {
                this_fiber::yield();
            }
            EXPECT_EQ(server.write_all(std::span<const std::byte>(space), soon()).error(),
                      std::errc::operation_canceled);
            return server.read_some(space, soon()).error();
        });
        while (!has_read) {
            this_fiber::yield();
        }
        reader.request_stop();
        EXPECT_EQ(reader.join(), std::errc::operation_canceled);
        std::array<std::byte, 1> space;
        EXPECT_TRUE(server.read_some(space, soon()));
    });
}

}  // namespace
}  // namespace coir::net
