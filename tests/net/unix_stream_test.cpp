#include "coir/net/unix_stream.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "net/socket_on.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::as_space_of;
using test::soon;
using test::TwoSides;

class UnixStreamOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, UnixStreamOn, test::everywhere(), test::name_of);

TEST_P(UnixStreamOn, ReadsWhatTheOtherEndWrites) {
    run([] {
        auto [a, b] = UnixStream::pair().value();
        const std::string text = test::pattern(1 << 20);
        std::string received;
        TwoSides sides([&, &from = b] { received = test::read_to_end(from); });
        ASSERT_TRUE(a.write_all(as_bytes_of(text), soon()));
        ASSERT_TRUE(a.shutdown(Shutdown::write));
        sides.join();
        EXPECT_EQ(received == text, true);
    });
}

TEST_P(UnixStreamOn, AReadThatTimesOutLeavesTheStreamUsable) {
    run([] {
        auto [a, b] = UnixStream::pair().value();
        std::string space(8, '\0');
        for (int i = 0; i != 3; ++i) {
            EXPECT_EQ(b.read_some(as_space_of(space), Deadline::after(3ms)).error(),
                      std::errc::timed_out);
        }
        ASSERT_TRUE(a.write_all(as_bytes_of("late"), soon()));
        EXPECT_EQ(b.peek(as_space_of(space), soon()).value(), 4U);
        EXPECT_EQ(b.read_some(as_space_of(space), soon()).value(), 4U);
    });
}

TEST_P(UnixStreamOn, AReadThatEndsBeforePassedDescriptorsDoesNotHideTheBytesBehindThem) {
    // The kernel ends a read where descriptors lie between the bytes, so a short one says nothing of
    // what is still there. No edge will tell of that.
    run([] {
        auto [a, b] = UnixStream::pair().value();
        std::string space(64, '\0');
        EXPECT_EQ(b.read_some(as_space_of(space), Deadline::after(1ms)).error(),
                  std::errc::timed_out);
        const int fd = a.native_handle();
        ASSERT_EQ(a.send_fds(as_bytes_of("one"), {&fd, 1}, soon()).value(), 3U);
        ASSERT_TRUE(a.write_all(as_bytes_of("two"), soon()));
        ASSERT_EQ(b.read_some(as_space_of(space), soon()).value(), 3U);
        ASSERT_EQ(b.read_some(as_space_of(space), soon()).value(), 3U);
        EXPECT_EQ(space.substr(0, 3), "two");
    });
}

TEST_P(UnixStreamOn, ADeadPeerIsTheEndForReadersAndABrokenPipeForWriters) {
    run([] {
        auto [a, b] = UnixStream::pair().value();
        { const UnixStream gone = std::move(a); }
        EXPECT_EQ(test::read_to_end(b), "");
        EXPECT_EQ(b.write_all(as_bytes_of("anybody?"), soon()).error(), std::errc::broken_pipe);
    });
}

TEST(UnixStream, KnowsWhoOpenedTheOtherEnd) {
    auto [a, b] = UnixStream::pair().value();
    const auto peer = a.peer_credentials().value();
    EXPECT_EQ(peer.pid, ::getpid());
    EXPECT_EQ(peer.uid, ::geteuid());
    EXPECT_EQ(peer.gid, ::getegid());
    EXPECT_EQ(a.local_address().value(), UnixAddress());
    EXPECT_EQ(a.peer_address().value(), UnixAddress());
}

TEST(UnixStream, CloseEndsAReadOnAnotherFiber) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        for (int round = 0; round != 100; ++round) {
            auto ends = UnixStream::pair().value();
            auto reader = spawn([&] {
                std::array<std::byte, 16> space;
                return ends.first.read_some(space, soon());
            });
            for (int i = 0; i != round % 8; ++i) {
                this_fiber::yield();
            }
            ends.first.close();
            ASSERT_EQ(reader.join().error(), std::errc::operation_canceled);
        }
    });
}

}  // namespace
}  // namespace coir::net
