#include "coir/net/passed_fds.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <string>
#include <vector>

#include "coir/net/unix_datagram.hpp"
#include "coir/net/unix_stream.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "net/socket_on.hpp"
#include "runtime/descriptors.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::as_space_of;
using test::open_descriptors;
using test::soon;
using test::TwoSides;

class PassedFdsOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, PassedFdsOn, test::everywhere(), test::name_of);

template <typename Socket>
void pass_both_ends_of_a_pipe() {
    auto ends = Socket::pair().value();
    TwoSides sides([&] {
        this_fiber::yield();
        const auto pipe = test::make_pipe();
        const std::array fds{pipe.first.get(), pipe.second.get()};
        ASSERT_TRUE(ends.first.send_fds(as_bytes_of("pipe"), fds, soon()));
    });
    std::string space(16, '\0');
    std::array<UniqueFd, 4> fds;
    const auto got = ends.second.receive_fds(as_space_of(space), fds, soon()).value();
    sides.join();
    EXPECT_EQ(space.substr(0, got.size), "pipe");
    EXPECT_EQ(got.whole_size, 4U);
    ASSERT_EQ(got.fd_count, 2U);
    EXPECT_FALSE(got.fds_lost);
    EXPECT_FALSE(fds[2]);
    for (std::size_t i = 0; i != got.fd_count; ++i) {
        EXPECT_NE(::fcntl(fds[i].get(), F_GETFD) & FD_CLOEXEC, 0);
    }
    test::put(fds[1].get(), "through the copy");
    EXPECT_EQ(test::get(fds[0].get()), "through the copy");
}

TEST_P(PassedFdsOn, AStreamPassesThem) {
    run(pass_both_ends_of_a_pipe<UnixStream>);
}

TEST_P(PassedFdsOn, ADatagramPassesThem) {
    run(pass_both_ends_of_a_pipe<UnixDatagram>);
}

/// Sends `sent` descriptors to a receiver that has room for `room`.
template <typename Socket>
void pass_to_little_room(std::size_t sent, std::size_t room) {
    const auto before = open_descriptors();
    {
        auto [a, b] = Socket::pair().value();
        const std::vector<int> fds(sent, a.native_handle());
        ASSERT_TRUE(a.send_fds(as_bytes_of("take"), fds, soon()));
        std::string space(8, '\0');
        std::vector<UniqueFd> taken(room);
        const auto got = b.receive_fds(as_space_of(space), taken, soon()).value();
        EXPECT_EQ(got.size, 4U);
        EXPECT_EQ(got.fd_count, std::min(sent, room));
        EXPECT_EQ(got.fds_lost, sent > room);
        EXPECT_EQ(open_descriptors() - before,
                  2 + static_cast<std::ptrdiff_t>(std::min(sent, room)));
    }
    EXPECT_EQ(open_descriptors(), before);
}

TEST(PassedFds, ThoseWithoutRoomAreClosedAndReported) {
    for (const std::size_t sent : {1U, 2U, 3U, 4U, 5U, 253U}) {
        for (const std::size_t room : {0U, 1U, 2U, 3U, 4U, 300U}) {
            SCOPED_TRACE(std::to_string(sent) + " to " + std::to_string(room));
            pass_to_little_room<UnixStream>(sent, room);
            pass_to_little_room<UnixDatagram>(sent, room);
        }
    }
}

TEST(PassedFds, MoreThanTheKernelTakesAreRefused) {
    auto [a, b] = UnixStream::pair().value();
    auto [c, d] = UnixDatagram::pair().value();
    const std::vector<int> fds(kMaxPassedFds + 1, a.native_handle());
    EXPECT_EQ(a.send_fds(as_bytes_of("x"), fds, soon()).error(), std::errc::invalid_argument);
    EXPECT_EQ(c.send_fds(as_bytes_of("x"), fds, soon()).error(), std::errc::invalid_argument);
    const int bad = -1;
    EXPECT_EQ(a.send_fds(as_bytes_of("x"), {&bad, 1}, soon()).error(),
              std::errc::bad_file_descriptor);
    ASSERT_TRUE(a.shutdown(Shutdown::write));
    EXPECT_EQ(test::read_to_end(b), "");
}

TEST(PassedFds, AReadThatDoesNotAskForThemOpensNone) {
    auto [a, b] = UnixStream::pair().value();
    const std::array fds{a.native_handle(), b.native_handle()};
    const auto before = open_descriptors();
    ASSERT_EQ(a.send_fds(as_bytes_of("spam"), fds, soon()).value(), 4U);
    std::string space(8, '\0');
    ASSERT_EQ(b.peek(as_space_of(space), soon()).value(), 4U);
    ASSERT_EQ(b.read_some(as_space_of(space), soon()).value(), 4U);
    EXPECT_EQ(open_descriptors(), before);
}

TEST(PassedFds, ThoseThatThisProcessMayNotOpenAreReported) {
    auto [a, b] = UnixStream::pair().value();
    const std::vector<int> fds(8, a.native_handle());
    ASSERT_TRUE(a.send_fds(as_bytes_of("many"), fds, soon()));
    const auto before = open_descriptors();
    rlimit limit;
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    // The lowest free numbers: the receiver may open three more.
    std::vector<UniqueFd> fillers;
    const rlimit tight{64, limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (;;) {
        UniqueFd filler(::fcntl(a.native_handle(), F_DUPFD_CLOEXEC, 0));
        if (!filler) {
            break;
        }
        fillers.push_back(std::move(filler));
    }
    ASSERT_GE(fillers.size(), 3U);
    fillers.resize(fillers.size() - 3);
    std::string space(8, '\0');
    std::array<UniqueFd, 8> taken;
    const auto got = b.receive_fds(as_space_of(space), taken, soon());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_EQ(got.value().size, 4U);
    EXPECT_EQ(got.value().fd_count, 3U);
    EXPECT_TRUE(got.value().fds_lost);
    fillers.clear();
    taken = {};
    EXPECT_EQ(open_descriptors(), before);
}

TEST(PassedFds, OneReadTakesThoseOfOneMessageOnly) {
    auto [a, b] = UnixStream::pair().value();
    const int one[] = {a.native_handle()};
    const int two[] = {a.native_handle(), a.native_handle()};
    ASSERT_TRUE(a.send_fds(as_bytes_of("1"), one, soon()));
    ASSERT_TRUE(a.send_fds(as_bytes_of("22"), two, soon()));
    ASSERT_TRUE(a.write_all(as_bytes_of("none"), soon()));
    std::string space(16, '\0');
    std::array<UniqueFd, 8> fds;
    for (const std::size_t count : {1U, 2U}) {
        const auto got = b.receive_fds(as_space_of(space), fds, soon()).value();
        EXPECT_EQ(got.size, count);
        EXPECT_EQ(got.fd_count, count);
    }
    const auto rest = b.receive_fds(as_space_of(space), fds, soon()).value();
    EXPECT_EQ(rest.size, 4U);
    EXPECT_EQ(rest.fd_count, 0U);
}

TEST(PassedFds, TheEndOfTheStreamAndTimeoutsAreAsForEveryRead) {
    auto [a, b] = UnixStream::pair().value();
    std::string space(4, '\0');
    std::array<UniqueFd, 1> fds;
    EXPECT_EQ(b.receive_fds(as_space_of(space), fds, Deadline::after(3ms)).error(),
              std::errc::timed_out);
    ASSERT_TRUE(a.shutdown(Shutdown::write));
    EXPECT_EQ(b.receive_fds(as_space_of(space), fds, soon()).value().size, 0U);
    b.close();
    EXPECT_EQ(b.receive_fds(as_space_of(space), fds, soon()).error(),
              std::errc::operation_canceled);
}

template <typename Socket>
void close_while_descriptors_come() {
    for (int round = 0; round != 200; ++round) {
        auto ends = Socket::pair().value();
        auto receiver = spawn([&] {
            std::string space(4, '\0');
            std::array<UniqueFd, 4> fds;
            (void)ends.second.receive_fds(as_space_of(space), fds, soon());
        });
        auto sender = spawn([&] {
            const std::vector<int> fds(4, ends.first.native_handle());
            (void)ends.first.send_fds(as_bytes_of("x"), fds, soon());
        });
        for (int i = 0; i != round % 4; ++i) {
            this_fiber::yield();
        }
        ends.second.close();
        receiver.join();
        sender.join();
    }
}

TEST(PassedFds, ACloseThatComesWithThemLeaksNone) {
    Runtime runtime({.workers = 4});
    runtime.run([] {
        close_while_descriptors_come<UnixStream>();  // every worker has opened what it needs
        const auto before = open_descriptors();
        close_while_descriptors_come<UnixStream>();
        close_while_descriptors_come<UnixDatagram>();
        EXPECT_EQ(open_descriptors(), before);
    });
}

}  // namespace
}  // namespace coir::net
