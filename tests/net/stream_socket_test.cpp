#include "coir/net/stream_socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <utility>

#include "coir/base/error.hpp"
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
using test::Connected;
using test::make_connection;
using test::soon;
using test::TwoSides;

class StreamSocketOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, StreamSocketOn, test::everywhere(), test::name_of);

/// A file without a name, with `text` in it.
UniqueFd file_with(std::string_view text) {
    UniqueFd file(::memfd_create("coir-test", MFD_CLOEXEC));
    if (!file) {
        throw std::system_error(syscall::last_error(), "memfd_create");
    }
    EXPECT_EQ(syscall::write(file.get(), as_bytes_of(text)).value(), text.size());
    return file;
}

TEST_P(StreamSocketOn, TryReadSomeTakesWhatHasArrivedAndNeverWaits) {
    run([] {
        auto [client, server] = make_connection();
        std::string space(4, '\0');
        EXPECT_EQ(server.try_read_some(as_space_of(space)).error(),
                  std::errc::resource_unavailable_try_again);
        ASSERT_TRUE(client.write_all(as_bytes_of("already"), soon()));
        // A wait that begins now is told of it, though a look had found nothing.
        ASSERT_TRUE(server.wait_readable(soon()));
        EXPECT_EQ(server.try_read_some(as_space_of(space)).value(), 4U);
        EXPECT_EQ(space, "alre");
        EXPECT_EQ(server.try_read_some(as_space_of(space)).value(), 3U);
        EXPECT_EQ(server.read_some(as_space_of(space), Deadline::after(5ms)).error(),
                  std::errc::timed_out);
        ASSERT_TRUE(client.shutdown(Shutdown::write));
        EXPECT_EQ(server.read_some(as_space_of(space), soon()).value(), 0U);
        EXPECT_EQ(server.try_read_some(as_space_of(space)).value(), 0U);
        server.close();
        EXPECT_EQ(server.try_read_some(as_space_of(space)).error(), std::errc::operation_canceled);
    });
}

TEST_P(StreamSocketOn, PeekLeavesTheBytesForTheNextRead) {
    run([] {
        auto [client, server] = make_connection();
        ASSERT_TRUE(client.write_all(as_bytes_of("peekaboo"), soon()));
        std::string space(4, '\0');
        ASSERT_EQ(server.peek(as_space_of(space), soon()).value(), 4U);
        EXPECT_EQ(space, "peek");
        ASSERT_EQ(server.peek(as_space_of(space), soon()).value(), 4U);
        EXPECT_EQ(space, "peek");
        ASSERT_TRUE(client.shutdown(Shutdown::write));
        EXPECT_EQ(test::read_to_end(server), "peekaboo");
        EXPECT_EQ(server.peek(as_space_of(space), soon()).value(), 0U);
        EXPECT_EQ(server.read_some(as_space_of(space), soon()).value(), 0U);
    });
}

TEST_P(StreamSocketOn, PeekWaitsForTheFirstByteAndTimesOut) {
    run([] {
        Connected ends = make_connection();
        std::string space(16, '\0');
        // After a short read too, when the stream knows that nothing is there.
        ASSERT_TRUE(ends.client.write_all(as_bytes_of("x"), soon()));
        ASSERT_EQ(ends.server.read_some(as_space_of(space), soon()).value(), 1U);
        EXPECT_EQ(ends.server.peek(as_space_of(space), Deadline::after(5ms)).error(),
                  std::errc::timed_out);
        TwoSides sides([&] {
            this_fiber::yield();
            ASSERT_TRUE(ends.client.write_all(as_bytes_of("late"), soon()));
        });
        EXPECT_EQ(ends.server.peek(as_space_of(space), soon()).value(), 4U);
        EXPECT_EQ(ends.server.read_some(as_space_of(space), soon()).value(), 4U);
        sides.join();
    });
}

TEST_P(StreamSocketOn, ReadExactThatTimesOutSaysHowMuchItHasAndCanGoOn) {
    run([] {
        auto [client, server] = make_connection();
        std::string space(8, '\0');
        std::size_t read = 99;
        ASSERT_TRUE(client.write_all(as_bytes_of("abc"), soon()));
        EXPECT_EQ(server.read_exact(as_space_of(space), read, Deadline::after(20ms)).error(),
                  std::errc::timed_out);
        ASSERT_EQ(read, 3U);
        ASSERT_TRUE(client.write_all(as_bytes_of("defgh"), soon()));
        ASSERT_TRUE(server.read_exact(as_space_of(space).subspan(read), read, soon()));
        EXPECT_EQ(read, 5U);
        EXPECT_EQ(space, "abcdefgh");
        ASSERT_TRUE(client.write_all(as_bytes_of("zz"), soon()));
        ASSERT_TRUE(client.shutdown(Shutdown::write));
        EXPECT_EQ(server.read_exact(as_space_of(space), read, soon()).error(),
                  Errc::unexpected_eof);
        EXPECT_EQ(read, 2U);
    });
}

TEST_P(StreamSocketOn, AWriteThatTimesOutSaysHowMuchItSentAndCanGoOn) {
    run([] {
        Connected ends = make_connection();
        const std::string text = test::pattern(16 << 20);
        std::size_t written = 99;
        ASSERT_EQ(ends.client.write_all(as_bytes_of(text), written, Deadline::after(20ms)).error(),
                  std::errc::timed_out);
        ASSERT_GT(written, 0U);
        ASSERT_LT(written, text.size());
        std::string received;
        TwoSides sides([&] { received = test::read_to_end(ends.server); });
        std::size_t rest = 0;
        ASSERT_TRUE(ends.client.write_all(as_bytes_of(text).subspan(written), rest, soon()));
        EXPECT_EQ(written + rest, text.size());
        ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        sides.join();
        EXPECT_EQ(received == text, true);
    });
}

TEST_P(StreamSocketOn, AWriteOfPiecesThatTimesOutSaysHowMuchItSent) {
    run([] {
        Connected ends = make_connection();
        const std::string text = test::pattern(16 << 20);
        const auto bytes = as_bytes_of(text);
        const std::array<std::span<const std::byte>, 4> pieces{
            bytes.first(1), bytes.subspan(1, 0), bytes.subspan(1, 99), bytes.subspan(100)};
        std::size_t written = 99;
        ASSERT_EQ(ends.client.write_all(pieces, written, Deadline::after(20ms)).error(),
                  std::errc::timed_out);
        ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        const std::string received = test::read_to_end(ends.server);
        EXPECT_EQ(received.size(), written);
        EXPECT_EQ(received == text.substr(0, written), true);
    });
}

TEST_P(StreamSocketOn, WriteSomeWaitsForRoomAndTellsExactlyWhatItSent) {
    run([] {
        Connected ends = make_connection();
        const std::string text = test::pattern(64 * 1024);
        std::size_t sent = 0;
        Result<std::size_t> written = std::size_t{0};
        do {
            written = ends.client.write_some(as_bytes_of(text), Deadline::after(20ms));
            sent += written ? *written : 0;
        } while (written);
        EXPECT_EQ(written.error(), std::errc::timed_out);
        std::size_t received = 0;
        TwoSides sides([&] { received = test::read_to_end(ends.server).size(); });
        written = ends.client.write_some(as_bytes_of("more"), soon());
        ASSERT_TRUE(written) << written.error().message();
        ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        sides.join();
        EXPECT_EQ(received, sent + *written);
    });
}

TEST_P(StreamSocketOn, SendFileSendsAPartOfAFileThroughASmallBuffer) {
    run([] {
        Connected ends = make_connection();
        test::make_buffers_small(ends);
        const std::string text = test::pattern(48 * 1024);
        const UniqueFd file = file_with(text);
        std::string received;
        TwoSides sides([&] { received = test::read_to_end(ends.server, 3000); });
        std::size_t sent = 0;
        ASSERT_TRUE(ends.client.send_file(file.get(), 1000, text.size() - 1500, sent, soon()));
        EXPECT_EQ(sent, text.size() - 1500);
        ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        sides.join();
        EXPECT_EQ(received == text.substr(1000, text.size() - 1500), true);
        EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), static_cast<off_t>(text.size()));
    });
}

TEST_P(StreamSocketOn, SendFileOfManyMegabytesToAFastReader) {
    run([] {
        auto [a, b] = UnixStream::pair().value();
        const std::string text = test::pattern(9 << 20);
        const UniqueFd file = file_with(text);
        std::string received;
        TwoSides sides([&, &to = b] { received = test::read_to_end(to, 1 << 20); });
        std::size_t sent = 0;
        ASSERT_TRUE(a.send_file(file.get(), 0, text.size(), sent, soon()));
        ASSERT_TRUE(a.shutdown(Shutdown::write));
        sides.join();
        EXPECT_EQ(received == text, true);
    });
}

TEST_P(StreamSocketOn, SendFileOfMoreThanTheFileHasEndsWithUnexpectedEof) {
    run([] {
        Connected ends = make_connection();
        const UniqueFd file = file_with("short");
        std::size_t sent = 99;
        EXPECT_EQ(ends.client.send_file(file.get(), 0, 100, sent, soon()).error(),
                  Errc::unexpected_eof);
        EXPECT_EQ(sent, 5U);
        EXPECT_EQ(ends.client.send_file(file.get(), 100, 1, sent, soon()).error(),
                  Errc::unexpected_eof);
        EXPECT_EQ(sent, 0U);
        EXPECT_TRUE(ends.client.send_file(file.get(), 0, 0, sent, soon()));
    });
}

TEST_P(StreamSocketOn, SendFileOfAFileThatShrinksMeanwhileEndsWithUnexpectedEof) {
    run([] {
        Connected ends = make_connection();
        const std::string text = test::pattern(16 << 20);
        const UniqueFd file = file_with(text);
        std::size_t sent = 0;
        ASSERT_EQ(
            ends.client.send_file(file.get(), 0, text.size(), sent, Deadline::after(20ms)).error(),
            std::errc::timed_out);
        ASSERT_GT(sent, 0U);
        ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(sent) + 10), 0);
        std::string received;
        TwoSides sides([&] { received = test::read_to_end(ends.server); });
        std::size_t more = 0;
        EXPECT_EQ(ends.client.send_file(file.get(), sent, text.size() - sent, more, soon()).error(),
                  Errc::unexpected_eof);
        EXPECT_EQ(more, 10U);
        ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        sides.join();
        EXPECT_EQ(received == text.substr(0, sent + more), true);
    });
}

TEST_P(StreamSocketOn, SendFileToAPeerThatResetsFailsWithoutSigpipe) {
    run([] {
        for (const bool is_unix : {false, true}) {
            // SIGPIPE has its default action here, which would end the process.
            Connected ends;
            std::pair<UnixStream, UnixStream> pair;
            if (is_unix) {
                pair = UnixStream::pair().value();
            } else {
                ends = make_connection();
            }
            StreamSocket& sender = is_unix ? static_cast<StreamSocket&>(pair.first) : ends.client;
            const std::string text = test::pattern(16 << 20);
            const UniqueFd file = file_with(text);
            TwoSides sides([&] {
                std::array<std::byte, 16> space;
                StreamSocket& reader =
                    is_unix ? static_cast<StreamSocket&>(pair.second) : ends.server;
                ASSERT_TRUE(reader.read_exact(space, soon()));
                ends.server = TcpStream();  // unread bytes make this a reset
                pair.second = UnixStream();
            });
            std::size_t sent = 0;
            const auto error = sender.send_file(file.get(), 0, text.size(), sent, soon()).error();
            sides.join();
            EXPECT_TRUE(error == std::errc::broken_pipe || error == std::errc::connection_reset)
                << error.message();
            EXPECT_GT(sent, 0U);
            EXPECT_LT(sent, text.size());
            const auto again = sender.send_file(file.get(), 0, text.size(), sent, soon()).error();
            EXPECT_EQ(again, std::errc::broken_pipe);
            EXPECT_EQ(sent, 0U);
        }
    });
}

TEST(StreamSocket, SendFileKeepsTheSigpipeThatTheProgramHasBlockedAndWaitsFor) {
    sigset_t sigpipe;
    sigset_t before;
    ::sigemptyset(&sigpipe);
    ::sigaddset(&sigpipe, SIGPIPE);
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &sigpipe, &before), 0);
    ASSERT_EQ(::raise(SIGPIPE), 0);
    auto [a, b] = UnixStream::pair().value();
    b = UnixStream();
    const UniqueFd file = file_with("text");
    std::size_t sent = 0;
    EXPECT_EQ(a.send_file(file.get(), 0, 4, sent, soon()).error(), std::errc::broken_pipe);
    const timespec at_once{};
    EXPECT_EQ(::sigtimedwait(&sigpipe, nullptr, &at_once), SIGPIPE);  // the one that was raised
    EXPECT_EQ(a.send_file(file.get(), 0, 4, sent, soon()).error(), std::errc::broken_pipe);
    EXPECT_EQ(::sigtimedwait(&sigpipe, nullptr, &at_once), -1);
    ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
}

TEST(StreamSocket, SendFileOfSomethingElseThanAFileFails) {
    auto [client, server] = make_connection();
    const auto pipe = test::make_pipe();
    std::size_t sent = 99;
    EXPECT_EQ(client.send_file(pipe.first.get(), 0, 4, sent, soon()).error(),
              std::errc::invalid_seek);
    EXPECT_EQ(sent, 0U);
    EXPECT_EQ(client.send_file(-1, 0, 4, sent, soon()).error(), std::errc::bad_file_descriptor);
    EXPECT_TRUE(client.is_open());
}

TEST(StreamSocket, CloseEndsASendFileWithOperationCanceled) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        const std::string text = test::pattern(16 << 20);
        const UniqueFd file = file_with(text);
        for (int round = 0; round != 30; ++round) {
            Connected ends = make_connection();
            std::size_t sent = 0;
            auto sender = spawn(
                [&] { return ends.client.send_file(file.get(), 0, text.size(), sent, soon()); });
            std::array<std::byte, 16> space;
            ASSERT_TRUE(ends.server.read_exact(space, soon()));
            for (int i = 0; i != round % 8; ++i) {
                this_fiber::yield();
            }
            ends.client.close();
            ASSERT_EQ(sender.join().error(), std::errc::operation_canceled);
            ASSERT_LT(sent, text.size());
        }
    });
}

TEST(StreamSocket, TakeErrorTellsOfAResetOnce) {
    Connected ends = make_connection();
    EXPECT_FALSE(ends.server.take_error());
    ends.client.abort();
    { const TcpStream gone = std::move(ends.client); }
    std::error_code error;
    EXPECT_TRUE(test::holds_before(soon(), [&] { return !!(error = ends.server.take_error()); }));
    EXPECT_EQ(error, std::errc::connection_reset);
    EXPECT_FALSE(ends.server.take_error());
}

TEST(StreamSocket, BufferSizesAreWhatTheKernelMakesOfThem) {
    auto [client, server] = make_connection();
    ASSERT_TRUE(client.set_send_buffer_bytes(32 * 1024));
    ASSERT_TRUE(client.set_receive_buffer_bytes(48 * 1024));
    EXPECT_EQ(client.send_buffer_bytes().value(), 64 * 1024);  // it doubles them
    EXPECT_EQ(client.receive_buffer_bytes().value(), 96 * 1024);
}

}  // namespace
}  // namespace coir::net
