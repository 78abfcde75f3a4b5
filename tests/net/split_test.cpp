#include "coir/net/split.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <type_traits>
#include <utility>

#include "coir/net/unix_stream.hpp"
#include "coir/runtime/runtime.hpp"
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

static_assert(!std::is_copy_constructible_v<ReadHalf<TcpStream>>);
static_assert(!std::is_copy_constructible_v<WriteHalf<TcpStream>>);

class SplitOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, SplitOn, test::everywhere(), test::name_of);

/// The same cases for both kinds of streams.
template <typename Stream>
std::pair<Stream, Stream> connected();
template <>
std::pair<TcpStream, TcpStream> connected<TcpStream>() {
    auto ends = test::make_connection();
    return {std::move(ends.client), std::move(ends.server)};
}
template <>
std::pair<UnixStream, UnixStream> connected<UnixStream>() {
    return UnixStream::pair().value();
}

template <typename Stream>
void both_directions_at_once() {
    auto [a, b] = connected<Stream>();
    const std::string text =
        test::pattern(4 << 20);  // fills the buffers: each must read while it writes
    const auto descriptors = test::open_descriptors();
    auto [reader, writer] = std::move(a).split();
    EXPECT_EQ(test::open_descriptors(), descriptors);
    TwoSides echo([&] {
        auto [from, to] = std::move(b).split();
        std::string part(16 * 1024, '\0');
        for (;;) {
            const auto size = from.read_some(as_space_of(part), soon()).value();
            if (size == 0) {
                break;
            }
            to.write_all(as_bytes_of(part).first(size), soon()).value();
        }
    });
    Runtime beside({.workers = 1});
    auto send = [&text, writer = std::move(writer)]() mutable {
        const WriteHalf<Stream> gone_at_the_end = [&] {
            writer.write_all(as_bytes_of(text), soon()).value();
            return std::move(writer);
        }();
    };
    auto sender = this_fiber::id() != 0 ? spawn(std::move(send)) : beside.spawn(std::move(send));
    const std::string received = test::read_to_end(reader);
    sender.join();
    echo.join();
    EXPECT_EQ(received == text, true);
}

TEST_P(SplitOn, TcpHalvesReadAndWriteAtOnce) {
    run(both_directions_at_once<TcpStream>);
}

TEST_P(SplitOn, UnixHalvesReadAndWriteAtOnce) {
    run(both_directions_at_once<UnixStream>);
}

TEST_P(SplitOn, DroppingTheWriterEndsTheStreamForThePeerAndLeavesTheReader) {
    run([] {
        auto [a, b] = connected<TcpStream>();
        auto [reader, writer] = std::move(a).split();
        {
            auto last = std::move(writer);
            ASSERT_TRUE(last.write_all(as_bytes_of("bye"), soon()));
        }
        EXPECT_EQ(test::read_to_end(b), "bye");
        ASSERT_TRUE(b.write_all(as_bytes_of("still here"), soon()));
        ASSERT_TRUE(b.shutdown(Shutdown::write));
        EXPECT_EQ(test::read_to_end(reader), "still here");
    });
}

TEST_P(SplitOn, DroppingTheReaderLeavesTheWriter) {
    run([] {
        auto [a, b] = connected<TcpStream>();
        auto halves = std::move(a).split();
        { const auto gone = std::move(halves.reader); }
        ASSERT_TRUE(halves.writer.write_all(as_bytes_of("one way"), soon()));
        std::string text(7, '\0');
        ASSERT_TRUE(b.read_exact(as_space_of(text), soon()));
        EXPECT_EQ(text, "one way");
    });
}

TEST(Split, AssigningOverAWriterEndsItsStream) {
    auto [a, b] = connected<TcpStream>();
    auto halves = std::move(a).split();
    halves.writer = WriteHalf<TcpStream>();
    EXPECT_EQ(test::read_to_end(b), "");
    EXPECT_FALSE(halves.writer.is_open());
    EXPECT_TRUE(halves.reader.is_open());
}

TEST(Split, TheDescriptorClosesWithTheSecondHalf) {
    auto [a, b] = connected<TcpStream>();
    const auto before = test::open_descriptors();
    auto halves = std::move(a).split();
    halves.reader = {};
    EXPECT_EQ(test::open_descriptors(), before);
    halves.writer = {};
    EXPECT_EQ(test::open_descriptors(), before - 1);
}

TEST(Split, ReuniteGivesTheStreamBackWithoutAnEnd) {
    auto [a, b] = connected<TcpStream>();
    auto halves = std::move(a).split();
    TcpStream whole = reunite(std::move(halves.reader), std::move(halves.writer));
    ASSERT_TRUE(whole.write_all(as_bytes_of("whole"), soon()));
    { const TcpStream gone = std::move(whole); }
    EXPECT_EQ(test::read_to_end(b), "whole");
}

TEST(SplitDeathTest, ReuniteOfHalvesOfDifferentStreamsDies) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto [a, b] = connected<UnixStream>();
    auto one = std::move(a).split();
    auto other = std::move(b).split();
    EXPECT_DEATH((void)reunite(std::move(one.reader), std::move(other.writer)), "");
}

TEST(Split, AbortInTheMiddleOfAMessageIsAResetAndNoEnd) {
    auto [a, b] = connected<TcpStream>();
    {
        auto halves = std::move(a).split();
        ASSERT_TRUE(halves.writer.write_all(as_bytes_of("half of a mess"), soon()));
        std::string text(4, '\0');
        ASSERT_TRUE(b.read_exact(as_space_of(text), soon()));
        halves.writer.abort();
        EXPECT_EQ(halves.reader.read_some(as_space_of(text), soon()).error(),
                  std::errc::operation_canceled);
    }
    std::string rest(64, '\0');
    auto read = b.read_some(as_space_of(rest), soon());
    while (read && *read != 0) {
        read = b.read_some(as_space_of(rest), soon());
    }
    EXPECT_EQ(read.error(), std::errc::connection_reset);
}

class SplitClose : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, SplitClose, testing::Values(1, 2, 4));

template <typename Stream>
void close_wakes_the_other_half() {
    const std::string text = test::pattern(8 << 20);
    for (int round = 0; round != 100; ++round) {
        auto [a, b] = connected<Stream>();
        auto halves = std::move(a).split();
        const auto hesitate = [round] {
            for (int i = 0; i != round % 8; ++i) {
                this_fiber::yield();
            }
        };
        if (round % 2 == 0) {
            auto waiting = spawn([reader = std::move(halves.reader)]() mutable {
                std::array<std::byte, 16> space;
                return reader.read_some(space, soon()).error();
            });
            hesitate();
            halves.writer.close();
            ASSERT_EQ(waiting.join(), std::errc::operation_canceled) << "in round " << round;
        } else {
            auto waiting = spawn([&text, writer = std::move(halves.writer)]() mutable {
                return writer.write_all(as_bytes_of(text), soon()).error();
            });
            hesitate();
            halves.reader.close();
            ASSERT_EQ(waiting.join(), std::errc::operation_canceled) << "in round " << round;
        }
    }
}

TEST_P(SplitClose, OfOneTcpHalfWakesTheOtherOnAnotherFiber) {
    Runtime runtime({.workers = GetParam()});
    runtime.run(close_wakes_the_other_half<TcpStream>);
}

TEST_P(SplitClose, OfOneUnixHalfWakesTheOtherOnAnotherFiber) {
    Runtime runtime({.workers = GetParam()});
    runtime.run(close_wakes_the_other_half<UnixStream>);
}

}  // namespace
}  // namespace coir::net
