#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "support/joined_fiber.hpp"

// close() and cancel() while other fibers and threads are in a call: each ends with operation_canceled,
// whatever the kernel says of the socket at the same time.
namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::Connected;
using test::make_connection;
using test::soon;

constexpr int kRounds = 200;

class CloseOn : public testing::TestWithParam<std::size_t> {
protected:
    template <typename F>
    void run(F body) {
        Runtime runtime({.workers = GetParam()});
        runtime.run(std::move(body));
    }
};

INSTANTIATE_TEST_SUITE_P(Workers, CloseOn, testing::Values(1, 2, 4));

/// Waits for a time that differs from round to round, so that the close meets the others in each phase.
void hesitate(int round) {
    if (round % 4 == 0) {
        this_fiber::sleep_for(300us);
    }
    for (int i = 0; i != round % 8; ++i) {
        this_fiber::yield();
    }
}

TEST_P(CloseOn, WakesTheReaderWithOperationCanceled) {
    // close() shut the socket down before it said so: a reader on another worker could see the end of the
    // stream first.
    run([] {
        for (int round = 0; round != kRounds; ++round) {
            Connected ends = make_connection();
            auto reader = spawn([&] {
                std::array<std::byte, 16> space;
                return ends.server.read_some(space, soon());
            });
            hesitate(round);
            ends.server.close();
            const auto read = reader.join();
            ASSERT_EQ(read.error(), std::errc::operation_canceled) << "in round " << round;
        }
    });
}

TEST_P(CloseOn, WakesTheWriterWithOperationCanceled) {
    run([] {
        const std::string text = test::pattern(8 << 20);
        for (int round = 0; round != kRounds / 8; ++round) {
            Connected ends = make_connection();
            test::make_buffers_small(ends);
            auto writer = spawn([&] { return ends.server.write_all(as_bytes_of(text), soon()); });
            hesitate(round);
            ends.server.close();
            ASSERT_EQ(writer.join().error(), std::errc::operation_canceled) << "in round " << round;
        }
    });
}

TEST_P(CloseOn, EndsTheAcceptWithOperationCanceled) {
    // The kernel says EINVAL of a listener that was shut down; accept() once passed that on.
    run([] {
        for (int round = 0; round != kRounds; ++round) {
            auto listener = test::listen_somewhere();
            auto acceptor = spawn([&] { return listener.accept(soon()); });
            hesitate(round);
            listener.close();
            const auto stream = acceptor.join();
            ASSERT_EQ(stream.error(), std::errc::operation_canceled)
                << "in round " << round << ": " << stream.error().message();
        }
    });
}

TEST_P(CloseOn, OfAListenerResetsTheQueuedConnections) {
    run([] {
        auto listener = test::listen_somewhere();
        auto client = TcpStream::connect(listener.local_address().value(), soon()).value();
        listener.close();
        std::array<std::byte, 4> space;
        EXPECT_EQ(client.read_some(space, soon()).error(), std::errc::connection_reset);
    });
}

TEST_P(CloseOn, FromAPlainThreadWakesTheReader) {
    run([] {
        for (int round = 0; round != 20; ++round) {
            Connected ends = make_connection();
            std::atomic<bool> go{false};
            std::thread closer([&] {
                while (!go) {
                    std::this_thread::yield();
                }
                ends.server.close();
            });
            std::array<std::byte, 16> space;
            auto reader = spawn([&] { return ends.server.read_some(space, soon()); });
            hesitate(round);
            go = true;
            const auto read = reader.join();
            closer.join();
            ASSERT_EQ(read.error(), std::errc::operation_canceled) << "in round " << round;
        }
    });
}

TEST(Close, WakesAReaderOnAPlainThread) {
    Connected ends = make_connection();
    std::thread closer([&] {
        std::this_thread::sleep_for(5ms);
        ends.server.close();
    });
    std::array<std::byte, 16> space;
    EXPECT_EQ(ends.server.read_some(space, soon()).error(), std::errc::operation_canceled);
    closer.join();
}

TEST(Close, IsSeenByThePeerAsTheEndOfTheStream) {
    Connected ends = make_connection();
    ends.server.close();
    EXPECT_FALSE(ends.server.is_open());
    EXPECT_EQ(test::read_to_end(ends.client), "");
}

TEST(Close, TwiceIsAsGoodAsOnce) {
    Connected ends = make_connection();
    ends.server.close();
    ends.server.close();
    std::array<std::byte, 4> space;
    EXPECT_EQ(ends.server.read_some(space, soon()).error(), std::errc::operation_canceled);
    EXPECT_EQ(ends.server.write_all(space, soon()).error(), std::errc::operation_canceled);
}

TEST(Cancel, OfAListenerLeavesTheQueueToTryAccept) {
    auto listener = test::listen_somewhere();
    auto client = TcpStream::connect(listener.local_address().value(), soon()).value();
    listener.cancel();
    EXPECT_EQ(listener.accept(soon()).error(), std::errc::operation_canceled);
    EXPECT_TRUE(listener.try_accept());
    EXPECT_EQ(listener.try_accept().error(), std::errc::resource_unavailable_try_again);
}

}  // namespace
}  // namespace coir::net
