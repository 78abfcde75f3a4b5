#include "coir/net/unix_datagram.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "net/socket_on.hpp"
#include "net/unix_paths.hpp"
#include "runtime/descriptors.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::as_space_of;
using test::SocketDirectory;
using test::soon;
using test::TwoSides;

class UnixDatagramOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, UnixDatagramOn, test::everywhere(), test::name_of);

std::string received_by(UnixDatagram& socket) {
    std::string space(256, '\0');
    space.resize(socket.receive(as_space_of(space), soon()).value().size);
    return space;
}

/// Fills the queue of `to` from a socket that is not connected to it; returns how many it took.
std::size_t fill(UnixDatagram& sender, const UnixAddress& to) {
    std::size_t count = 0;
    std::error_code error;
    while (!error) {
        error = sender.send_to(as_bytes_of("x"), to, Deadline::after(5ms)).error();
        count += error ? 0U : 1U;
    }
    EXPECT_EQ(error, std::errc::timed_out);
    return count;
}

TEST_P(UnixDatagramOn, SendToAndReceiveFromKnowEachOther) {
    run([] {
        const SocketDirectory directory;
        auto a = UnixDatagram::bind(directory.address("a")).value();
        auto b = UnixDatagram::bind(UnixAddress()).value();
        ASSERT_EQ(b.local_address().value().kind(), UnixAddress::Kind::abstract);
        ASSERT_TRUE(a.send_to(as_bytes_of("ping"), b.local_address().value(), soon()));
        std::string space(64, '\0');
        const auto got = b.receive_from(as_space_of(space), soon()).value();
        EXPECT_EQ(space.substr(0, got.size), "ping");
        EXPECT_EQ(got.from, directory.address("a"));
        ASSERT_TRUE(b.connect(got.from));
        ASSERT_TRUE(b.send(as_bytes_of("pong"), soon()));
        EXPECT_EQ(received_by(a), "pong");
        EXPECT_EQ(b.peer_address().value(), directory.address("a"));

        auto nameless = UnixDatagram::unbound().value();
        ASSERT_TRUE(nameless.send_to(as_bytes_of("psst"), got.from, soon()));
        EXPECT_EQ(a.receive_from(as_space_of(space), soon()).value().from, UnixAddress());
    });
}

TEST_P(UnixDatagramOn, APairKeepsTheBordersOfDatagrams) {
    run([] {
        auto [a, b] = UnixDatagram::pair().value();
        for (const auto* text : {"one", "", "three"}) {
            ASSERT_TRUE(a.send(as_bytes_of(text), soon()));
        }
        EXPECT_EQ(received_by(b), "one");
        EXPECT_EQ(received_by(b), "");
        std::string space(2, '\0');
        const auto got = b.receive(as_space_of(space), soon()).value();
        EXPECT_TRUE(got.is_truncated());
        EXPECT_EQ(got.whole_size, 5U);
        EXPECT_EQ(space, "th");
        EXPECT_EQ(b.receive(as_space_of(space), Deadline::after(3ms)).error(),
                  std::errc::timed_out);
    });
}

TEST_P(UnixDatagramOn, APairsSenderWaitsForASlowReceiver) {
    run([] {
        auto [a, b] = UnixDatagram::pair().value();
        const std::string text(1000, 'x');
        constexpr int kCount = 5000;  // more than the buffer takes
        TwoSides sides([&, &from = b] {
            for (int i = 0; i != kCount; ++i) {
                ASSERT_EQ(received_by(from).size(), 256U);
            }
        });
        for (int i = 0; i != kCount; ++i) {
            ASSERT_TRUE(a.send(as_bytes_of(text), soon()));
        }
        sides.join();
    });
}

TEST_P(UnixDatagramOn, AConnectedSenderIsToldWhenTheReceiverHasRoomAgain) {
    run([] {
        auto receiver = UnixDatagram::bind(UnixAddress()).value();
        auto sender = UnixDatagram::unbound().value();
        const auto to = receiver.local_address().value();
        ASSERT_TRUE(sender.connect(to));
        const auto count = fill(sender, to);
        EXPECT_EQ(sender.send(as_bytes_of("x"), Deadline::after(5ms)).error(),
                  std::errc::timed_out);
        TwoSides sides([&] {
            this_fiber::yield();
            for (std::size_t i = 0; i != count; ++i) {
                ASSERT_EQ(received_by(receiver), "x");
            }
        });
        ASSERT_TRUE(sender.send(as_bytes_of("last"), soon()));
        sides.join();
        EXPECT_EQ(received_by(receiver), "last");
    });
}

TEST_P(UnixDatagramOn, ASenderThatIsNotConnectedFindsTheRoomByItself) {
    // No poller tells such a sender: its own socket is writable all the time. It would wait for an
    // edge that never comes, or spin.
    run([] {
        auto receiver = UnixDatagram::bind(UnixAddress()).value();
        auto sender = UnixDatagram::unbound().value();
        const auto to = receiver.local_address().value();
        const auto count = fill(sender, to);
        TwoSides sides([&] {
            this_fiber::yield();
            for (std::size_t i = 0; i != count; ++i) {
                ASSERT_EQ(received_by(receiver), "x");
            }
        });
        ASSERT_TRUE(sender.send_to(as_bytes_of("last"), to, soon()));
        sides.join();
        EXPECT_EQ(received_by(receiver), "last");
    });
}

TEST_P(UnixDatagramOn, AReceiverThatHasGoneIsReported) {
    run([] {
        auto sender = UnixDatagram::unbound().value();
        UnixAddress to;
        {
            const auto gone = UnixDatagram::bind(UnixAddress()).value();
            to = gone.local_address().value();
            ASSERT_TRUE(sender.connect(to));
        }
        EXPECT_EQ(sender.send(as_bytes_of("x"), soon()).error(), std::errc::connection_refused);
        EXPECT_EQ(sender.send_to(as_bytes_of("x"), to, soon()).error(),
                  std::errc::connection_refused);
    });
}

TEST(UnixDatagram, ReplacesAStaleFileOnly) {
    const SocketDirectory directory;
    const auto address = directory.address("x");
    { const auto killed = UnixDatagram::bind(address, {.remove_on_close = false}).value(); }
    EXPECT_EQ(UnixDatagram::bind(address).error(), std::errc::address_in_use);
    auto socket = UnixDatagram::bind(address, {.replace_stale = true}).value();
    EXPECT_EQ(UnixDatagram::bind(address, {.replace_stale = true}).error(),
              std::errc::address_in_use);
    socket = UnixDatagram::bind(directory.address("y")).value();
    EXPECT_FALSE(directory.has("x"));
    EXPECT_TRUE(directory.has("y"));
}

TEST(UnixDatagram, CloseEndsWhatWaits) {
    for (const std::size_t workers : {1U, 2U, 4U}) {
        Runtime runtime({.workers = workers});
        runtime.run([] {
            for (int round = 0; round != 50; ++round) {
                auto receiver = UnixDatagram::bind(UnixAddress()).value();
                const auto to = receiver.local_address().value();
                auto sender = UnixDatagram::unbound().value();
                auto receive = spawn([&] {
                    std::array<std::byte, 16> space;
                    return sender.receive(space, soon()).error();
                });
                auto send = spawn([&] {
                    for (;;) {  // until the queue is full and it must wait
                        if (const auto sent = sender.send_to(as_bytes_of("x"), to, soon()); !sent) {
                            return sent.error();
                        }
                    }
                });
                for (int i = 0; i != round % 8; ++i) {
                    this_fiber::yield();
                }
                sender.close();
                ASSERT_EQ(receive.join(), std::errc::operation_canceled);
                ASSERT_EQ(send.join(), std::errc::operation_canceled);
            }
        });
    }
}

}  // namespace
}  // namespace coir::net
