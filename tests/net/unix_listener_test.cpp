#include "coir/net/unix_listener.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "net/socket_on.hpp"
#include "net/unix_paths.hpp"
#include "runtime/descriptors.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::SocketDirectory;
using test::soon;
using test::TwoSides;

class UnixListenerOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, UnixListenerOn, test::everywhere(), test::name_of);

/// Leaves the file of a listener that nobody listens on any more.
void leave_stale(const UnixAddress& address) {
    const auto killed = UnixListener::bind(address, {.file = {.remove_on_close = false}}).value();
}

TEST_P(UnixListenerOn, AcceptsOnAPath) {
    run([] {
        const SocketDirectory directory;
        const auto address = directory.address("x.sock");
        auto listener = UnixListener::bind(address).value();
        EXPECT_EQ(listener.local_address().value(), address);
        TwoSides sides([&] {
            auto client = UnixStream::connect(address, soon()).value();
            EXPECT_EQ(client.peer_address().value(), address);
            ASSERT_TRUE(client.write_all(as_bytes_of("hello"), soon()));
        });
        auto accepted = listener.accept_from(soon()).value();
        EXPECT_EQ(accepted.peer.kind(), UnixAddress::Kind::unnamed);
        EXPECT_EQ(test::read_to_end(accepted.stream), "hello");
        sides.join();
        EXPECT_EQ(listener.accept(Deadline::after(3ms)).error(), std::errc::timed_out);
    });
}

TEST_P(UnixListenerOn, AcceptsOnAnAbstractNameOfTheKernelsChoice) {
    run([] {
        auto listener = UnixListener::bind(UnixAddress()).value();
        const auto address = listener.local_address().value();
        ASSERT_EQ(address.kind(), UnixAddress::Kind::abstract);
        auto client = UnixStream::connect(address, soon()).value();
        auto server = listener.accept(soon()).value();
        ASSERT_TRUE(server.write_all(as_bytes_of("hello"), soon()));
        ASSERT_TRUE(server.shutdown(Shutdown::write));
        EXPECT_EQ(test::read_to_end(client), "hello");
    });
}

TEST_P(UnixListenerOn, ConnectWaitsWhileTheQueueIsFull) {
    run([] {
        auto listener = UnixListener::bind(UnixAddress(), {.backlog = 0}).value();
        const auto address = listener.local_address().value();
        std::vector<UnixStream> queued;
        std::error_code error;
        while (!error && queued.size() < 64) {
            auto stream = UnixStream::connect(address, Deadline::after(20ms));
            error = stream.error();
            if (stream) {
                queued.push_back(std::move(*stream));
            }
        }
        ASSERT_EQ(error, std::errc::timed_out);
        TwoSides sides([&] {
            this_fiber::yield();
            EXPECT_TRUE(listener.accept(soon()));
        });
        EXPECT_TRUE(UnixStream::connect(address, soon()));
        sides.join();
    });
}

TEST(UnixListener, RemovesItsFileAndNothingElse) {
    const SocketDirectory directory;
    const auto address = directory.address("x.sock");
    {
        auto listener = UnixListener::bind(address).value();
        EXPECT_TRUE(directory.has("x.sock"));
        UnixListener moved = std::move(listener);
        listener = UnixListener();
        EXPECT_TRUE(directory.has("x.sock"));
        moved.close();
        EXPECT_TRUE(directory.has("x.sock"));
    }
    EXPECT_FALSE(directory.has("x.sock"));
    {
        const auto listener = UnixListener::bind(address).value();
        // Somebody takes the name over, by hand or with a rolling restart.
        std::filesystem::remove(directory.file("x.sock"));
        std::ofstream(directory.file("x.sock")) << "precious";
    }
    EXPECT_TRUE(directory.has("x.sock"));
}

TEST(UnixListener, AssignmentRemovesTheOldFile) {
    const SocketDirectory directory;
    auto listener = UnixListener::bind(directory.address("old")).value();
    listener = UnixListener::bind(directory.address("new")).value();
    EXPECT_FALSE(directory.has("old"));
    EXPECT_TRUE(directory.has("new"));
    EXPECT_TRUE(UnixStream::connect(directory.address("new"), soon()));
}

TEST(UnixListener, AStaleFileIsInUseUnlessItIsToBeReplaced) {
    const SocketDirectory directory;
    const auto address = directory.address("x.sock");
    leave_stale(address);
    ASSERT_TRUE(directory.has("x.sock"));
    EXPECT_EQ(UnixStream::connect(address, soon()).error(), std::errc::connection_refused);
    EXPECT_EQ(UnixListener::bind(address).error(), std::errc::address_in_use);
    const auto listener = UnixListener::bind(address, {.file = {.replace_stale = true}}).value();
    EXPECT_TRUE(UnixStream::connect(address, soon()));
}

TEST(UnixListener, ReplacesNeitherALiveSocketNorAnotherFile) {
    const SocketDirectory directory;
    const UnixListenOptions replacing{.file = {.replace_stale = true}};
    const auto address = directory.address("live");
    auto listener = UnixListener::bind(address, {.backlog = 0}).value();
    EXPECT_EQ(UnixListener::bind(address, replacing).error(), std::errc::address_in_use);
    // Also when its queue is full: the question has filled it.
    EXPECT_EQ(UnixListener::bind(address, replacing).error(), std::errc::address_in_use);
    EXPECT_TRUE(listener.accept(soon()));

    std::ofstream(directory.file("file")) << "precious";
    EXPECT_EQ(UnixListener::bind(directory.address("file"), replacing).error(),
              std::errc::address_in_use);
    // A link is not followed to what it names, stale or not.
    leave_stale(directory.address("stale"));
    std::filesystem::create_symlink(directory.file("stale"), directory.file("link"));
    EXPECT_EQ(UnixListener::bind(directory.address("link"), replacing).error(),
              std::errc::address_in_use);
    for (const auto* name : {"live", "file", "stale", "link"}) {
        EXPECT_TRUE(directory.has(name)) << name;
    }
}

TEST(UnixListener, AClosedListenersFileCanBeReplacedAndStaysTheNewOnes) {
    const SocketDirectory directory;
    const auto address = directory.address("x.sock");
    UnixListener successor;
    {
        auto listener = UnixListener::bind(address).value();
        listener.close();
        successor = UnixListener::bind(address, {.file = {.replace_stale = true}}).value();
    }
    EXPECT_TRUE(UnixStream::connect(address, soon()));
}

TEST(UnixListener, ItsFileHasThePermissionsThatWereAskedFor) {
    const SocketDirectory directory;
    const mode_t before = ::umask(0);
    const auto listener =
        UnixListener::bind(directory.address("x.sock"), {.file = {.permissions = 0600}});
    ::umask(before);
    ASSERT_TRUE(listener);
    struct stat found;
    ASSERT_EQ(::stat(directory.file("x.sock").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0600U);
}

TEST(UnixListener, BindTellsWhatIsWrongWithThePath) {
    const SocketDirectory directory;
    EXPECT_EQ(UnixListener::bind(directory.address("no/such/directory")).error(),
              std::errc::no_such_file_or_directory);
    EXPECT_EQ(UnixStream::connect(directory.address("nobody"), soon()).error(),
              std::errc::no_such_file_or_directory);
}

TEST(UnixListener, CancelLeavesTheQueueToTryAccept) {
    auto listener = UnixListener::bind(UnixAddress()).value();
    auto client = UnixStream::connect(listener.local_address().value(), soon()).value();
    listener.cancel();
    EXPECT_EQ(listener.accept(soon()).error(), std::errc::operation_canceled);
    EXPECT_TRUE(listener.try_accept());
    EXPECT_EQ(listener.try_accept().error(), std::errc::resource_unavailable_try_again);
}

class UnixListenerClose : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, UnixListenerClose, testing::Values(1, 2, 4));

TEST_P(UnixListenerClose, EndsTheAcceptWithOperationCanceled) {
    Runtime runtime({.workers = GetParam()});
    runtime.run([] {
        for (int round = 0; round != 100; ++round) {
            auto listener = UnixListener::bind(UnixAddress()).value();
            auto acceptor = spawn([&] { return listener.accept(soon()); });
            for (int i = 0; i != round % 8; ++i) {
                this_fiber::yield();
            }
            listener.close();
            ASSERT_EQ(acceptor.join().error(), std::errc::operation_canceled);
            EXPECT_EQ(UnixStream::connect(listener.local_address().value(), soon()).error(),
                      std::errc::connection_refused);
        }
    });
}

TEST(UnixListener, LeavesNoDescriptorBehind) {
    const SocketDirectory directory;
    leave_stale(directory.address("x"));
    const auto before = test::open_descriptors();
    {
        const UnixListenOptions replacing{.file = {.replace_stale = true}};
        const auto listener = UnixListener::bind(directory.address("x"), replacing).value();
        EXPECT_FALSE(UnixListener::bind(directory.address("x"), replacing));
        EXPECT_FALSE(UnixStream::connect(directory.address("y"), soon()));
        EXPECT_EQ(test::open_descriptors(), before + 1);
    }
    EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace
}  // namespace coir::net
