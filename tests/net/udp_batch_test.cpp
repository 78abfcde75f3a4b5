#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "coir/net/udp_socket.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "net/socket_on.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::soon;
using test::TwoSides;

class UdpBatchOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, UdpBatchOn, test::everywhere(), test::name_of);

UdpSocket bound_somewhere() {
    return UdpSocket::bind(SocketAddress::loopback(0)).value();
}

/// Room for `count` datagrams of up to `bytes`.
struct Inbox {
    Inbox(std::size_t count, std::size_t bytes) : space(count * bytes), datagrams(count) {
        for (std::size_t i = 0; i != count; ++i) {
            datagrams[i].space = std::span(space).subspan(i * bytes, bytes);
        }
    }
    [[nodiscard]] std::string text(std::size_t i) const {
        const auto bytes = datagrams[i].bytes();
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    std::vector<std::byte> space;
    std::vector<IncomingDatagram> datagrams;
};

TEST_P(UdpBatchOn, ABatchKeepsOrderSizesAndAddresses) {
    run([] {
        auto a = bound_somewhere();
        auto b = bound_somewhere();
        const auto to = b.local_address().value();
        // More than one system call takes, with empty ones among them.
        std::vector<std::string> texts;
        std::vector<OutgoingDatagram> out;
        for (std::size_t i = 0; i != 2 * UdpSocket::kMaxBatch + 5; ++i) {
            texts.push_back(i % 10 == 3 ? "" : "datagram " + std::to_string(i));
        }
        for (const auto& text : texts) {
            out.push_back({as_bytes_of(text), &to});
        }
        std::size_t sent = 99;
        ASSERT_TRUE(a.send_batch(out, sent, soon()));
        EXPECT_EQ(sent, texts.size());
        Inbox inbox(100, 64);
        for (std::size_t got = 0; got != texts.size();) {
            const auto count = b.receive_batch(inbox.datagrams, soon()).value();
            ASSERT_GT(count, 0U);
            ASSERT_LE(count, UdpSocket::kMaxBatch);
            for (std::size_t i = 0; i != count; ++i, ++got) {
                ASSERT_EQ(inbox.text(i), texts[got]);
                EXPECT_FALSE(inbox.datagrams[i].received.is_truncated());
                EXPECT_EQ(inbox.datagrams[i].from, a.local_address().value());
            }
        }
    });
}

TEST_P(UdpBatchOn, ReceiveBatchWaitsForTheFirstAndTimesOut) {
    run([] {
        auto a = bound_somewhere();
        auto b = bound_somewhere();
        Inbox inbox(4, 16);
        EXPECT_EQ(b.receive_batch(inbox.datagrams, Deadline::after(5ms)).error(),
                  std::errc::timed_out);
        TwoSides sides([&] {
            this_fiber::yield();
            ASSERT_TRUE(a.send_to(as_bytes_of("x"), b.local_address().value(), soon()));
        });
        EXPECT_EQ(b.receive_batch(inbox.datagrams, soon()).value(), 1U);
        EXPECT_EQ(inbox.text(0), "x");
        sides.join();
    });
}

TEST_P(UdpBatchOn, ABatchTellsWhichDatagramsWereTruncated) {
    run([] {
        auto a = bound_somewhere();
        auto b = bound_somewhere();
        ASSERT_TRUE(a.connect(b.local_address().value()));
        const std::array<OutgoingDatagram, 3> out{
            {{as_bytes_of("1234")}, {as_bytes_of("123456")}, {as_bytes_of("12")}}};
        std::size_t sent = 0;
        ASSERT_TRUE(a.send_batch(out, sent, soon()));
        Inbox inbox(3, 4);
        ASSERT_EQ(b.receive_batch(inbox.datagrams, soon()).value(), 3U);
        EXPECT_FALSE(inbox.datagrams[0].received.is_truncated());
        EXPECT_TRUE(inbox.datagrams[1].received.is_truncated());
        EXPECT_EQ(inbox.datagrams[1].received.whole_size, 6U);
        EXPECT_EQ(inbox.text(1), "1234");
        EXPECT_EQ(inbox.text(2), "12");
    });
}

TEST(UdpBatch, AnErrorTellsHowManyWereSentBefore) {
    auto a = bound_somewhere();
    auto b = bound_somewhere();
    const auto to = b.local_address().value();
    const std::string large(70'000, 'x');
    const std::array<OutgoingDatagram, 4> out{{{as_bytes_of("one"), &to},
                                               {as_bytes_of("two"), &to},
                                               {as_bytes_of(large), &to},
                                               {as_bytes_of("four"), &to}}};
    std::size_t sent = 99;
    EXPECT_EQ(a.send_batch(out, sent, soon()).error(), std::errc::message_size);
    EXPECT_EQ(sent, 2U);
    EXPECT_TRUE(a.send_batch(std::span(out).subspan(sent + 1), sent, soon()));
    EXPECT_EQ(sent, 1U);
    EXPECT_TRUE(a.send_batch({}, sent, soon()));
    EXPECT_EQ(sent, 0U);
}

TEST(UdpBatch, APeerThatDoesNotListenIsReported) {
    auto a = bound_somewhere();
    {
        const auto gone = bound_somewhere();
        ASSERT_TRUE(a.connect(gone.local_address().value()));
    }
    ASSERT_TRUE(a.send(as_bytes_of("anybody?"), soon()));
    Inbox inbox(4, 16);
    EXPECT_EQ(a.receive_batch(inbox.datagrams, soon()).error(), std::errc::connection_refused);
}

}  // namespace
}  // namespace coir::net
