#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <string>
#include <vector>

#include "coir/net/udp_socket.hpp"
#include "coir/net/unix_datagram.hpp"
#include "coir/net/unix_listener.hpp"
#include "coir/net/unix_stream.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"

// A fiber that is asked to stop in the middle of a call leaves the socket usable, and knows how far it came.
namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::as_space_of;
using test::soon;

class StopRequest : public testing::TestWithParam<std::size_t> {
protected:
    template <typename F>
    void run(F body) {
        Runtime runtime({.workers = GetParam()});
        runtime.run(std::move(body));
    }

    /// Runs `call` on a fiber that is asked to stop; returns how it ended.
    template <typename F>
    static std::error_code stopped(F call) {
        auto fiber = spawn([&call] { return call().error(); });
        for (int i = 0; i != 3; ++i) {
            this_fiber::yield();
        }
        fiber.request_stop();
        return fiber.join();
    }
};

INSTANTIATE_TEST_SUITE_P(Workers, StopRequest, testing::Values(1, 4));

TEST_P(StopRequest, OfAWriterTellsWhatWasSentAndAnotherCanGoOn) {
    run([] {
        auto [a, b] = UnixStream::pair().value();
        const std::string text = test::pattern(2 << 20);
        const auto bytes = as_bytes_of(text);
        std::size_t written = 0;
        ASSERT_EQ(stopped([&, &to = a] { return to.write_all(bytes, written, soon()); }),
                  std::errc::operation_canceled);
        EXPECT_TRUE(a.is_open());
        ASSERT_LT(written, text.size());
        auto reader = spawn([&from = b] { return test::read_to_end(from); });
        ASSERT_TRUE(a.write_all(bytes.subspan(written), soon()));
        ASSERT_TRUE(a.shutdown(Shutdown::write));
        EXPECT_EQ(reader.join() == text, true);
    });
}

TEST_P(StopRequest, OfAFileSenderTellsWhatWasSentAndAnotherCanGoOn) {
    run([] {
        auto [a, b] = UnixStream::pair().value();
        const std::string text = test::pattern(2 << 20);
        const UniqueFd file(::memfd_create("coir-test", MFD_CLOEXEC));
        ASSERT_EQ(syscall::write(file.get(), as_bytes_of(text)).value(), text.size());
        std::size_t sent = 0;
        ASSERT_EQ(stopped([&, &to = a] {
                      return to.send_file(file.get(), 0, text.size(), sent, soon());
                  }),
                  std::errc::operation_canceled);
        ASSERT_LT(sent, text.size());
        auto reader = spawn([&from = b] { return test::read_to_end(from); });
        std::size_t rest = 0;
        ASSERT_TRUE(a.send_file(file.get(), sent, text.size() - sent, rest, soon()));
        ASSERT_TRUE(a.shutdown(Shutdown::write));
        EXPECT_EQ(reader.join() == text, true);
    });
}

TEST_P(StopRequest, OfAReaderLosesNoByte) {
    run([] {
        auto ends = test::make_connection();
        std::string space(6, '\0');
        std::size_t read = 99;
        ASSERT_TRUE(ends.client.write_all(as_bytes_of("abc"), soon()));
        ASSERT_EQ(stopped([&] { return ends.server.read_exact(as_space_of(space), read, soon()); }),
                  std::errc::operation_canceled);
        EXPECT_TRUE(ends.server.is_open());
        ASSERT_TRUE(ends.client.write_all(as_bytes_of("defgh"), soon()));
        ASSERT_TRUE(ends.server.read_exact(as_space_of(space).subspan(read), soon()));
        EXPECT_EQ(space, "abcdef");
        ASSERT_TRUE(ends.client.shutdown(Shutdown::write));
        EXPECT_EQ(test::read_to_end(ends.server), "gh");
    });
}

TEST_P(StopRequest, OfAReceiverLosesNoDatagram) {
    run([] {
        auto a = UdpSocket::bind(SocketAddress::loopback(0)).value();
        auto b = UdpSocket::bind(SocketAddress::loopback(0)).value();
        std::string space(8, '\0');
        ASSERT_EQ(stopped([&] { return b.receive(as_space_of(space), soon()); }),
                  std::errc::operation_canceled);
        std::array<IncomingDatagram, 2> batch{};
        ASSERT_EQ(stopped([&] { return b.receive_batch(batch, soon()); }),
                  std::errc::operation_canceled);
        ASSERT_TRUE(a.send_to(as_bytes_of("late"), b.local_address().value(), soon()));
        EXPECT_EQ(b.receive(as_space_of(space), soon()).value().size, 4U);
    });
}

TEST_P(StopRequest, OfAnAcceptTakesNoConnection) {
    run([] {
        auto listener = UnixListener::bind(UnixAddress()).value();
        ASSERT_EQ(stopped([&] { return listener.accept(soon()); }), std::errc::operation_canceled);
        EXPECT_TRUE(listener.is_open());
        ASSERT_TRUE(UnixStream::connect(listener.local_address().value(), soon()));
        EXPECT_TRUE(listener.accept(soon()));
    });
}

/// A listener whose queue is full.
UnixListener full_listener(std::vector<UnixStream>& queued) {
    auto listener = UnixListener::bind(UnixAddress(), {.backlog = 0}).value();
    const auto address = listener.local_address().value();
    for (;;) {
        auto stream = UnixStream::connect(address, Deadline::after(1ms));
        if (!stream) {
            EXPECT_EQ(stream.error(), std::errc::timed_out);
            return listener;
        }
        queued.push_back(*std::move(stream));
    }
}

/// A receiver whose queue is full.
UnixDatagram full_receiver(UnixDatagram& sender) {
    auto receiver = UnixDatagram::bind(UnixAddress()).value();
    const auto to = receiver.local_address().value();
    while (sender.send_to(as_bytes_of("x"), to, Deadline::after(1ms))) {
    }
    return receiver;
}

TEST_P(StopRequest, EndsTheWaitsOfWhichTheKernelTellsNobody) {
    run([] {
        std::vector<UnixStream> queued;
        const auto listener = full_listener(queued);
        const auto address = listener.local_address().value();
        EXPECT_EQ(stopped([&] { return UnixStream::connect(address, Deadline::never()); }),
                  std::errc::operation_canceled);
        auto sender = UnixDatagram::unbound().value();
        const auto receiver = full_receiver(sender);
        const auto to = receiver.local_address().value();
        EXPECT_EQ(stopped([&] { return sender.send_to(as_bytes_of("x"), to, Deadline::never()); }),
                  std::errc::operation_canceled);
        EXPECT_TRUE(sender.is_open());
    });
}

TEST_P(StopRequest, IsNotTheOnlyEndOfThoseWaits) {
    run([] {
        std::vector<UnixStream> queued;
        const auto listener = full_listener(queued);
        auto sender = UnixDatagram::unbound().value();
        const auto receiver = full_receiver(sender);
        const auto to = receiver.local_address().value();
        const this_fiber::DeadlineScope limit(Deadline::after(20ms));
        EXPECT_EQ(UnixStream::connect(listener.local_address().value(), Deadline::never()).error(),
                  std::errc::timed_out);
        EXPECT_EQ(sender.send_to(as_bytes_of("x"), to, Deadline::never()).error(),
                  std::errc::timed_out);
        // Under a shield the task's deadline counts no more, though it has passed.
        const this_fiber::Shield shield;
        const auto begin = Deadline::Clock::now();
        EXPECT_EQ(sender.send_to(as_bytes_of("x"), to, Deadline::after(30ms)).error(),
                  std::errc::timed_out);
        EXPECT_GE(Deadline::Clock::now() - begin, 30ms);
    });
}

TEST_P(StopRequest, EndsCallsThatNeedNotWait) {
    run([] {
        const auto listener = UnixListener::bind(UnixAddress()).value();
        const auto address = listener.local_address().value();
        auto receiver = UnixDatagram::bind(UnixAddress()).value();
        const auto to = receiver.local_address().value();
        auto sender = UnixDatagram::unbound().value();
        auto [a, b] = UnixStream::pair().value();
        auto fiber = spawn([&, &from = a] {
            while (!this_fiber::stop_requested()) {
                this_fiber::yield();
            }
            const auto bytes = as_bytes_of("x");
            EXPECT_EQ(sender.send_to(bytes, to, soon()).error(), std::errc::operation_canceled);
            EXPECT_EQ(from.send_fds(bytes, {}, soon()).error(), std::errc::operation_canceled);
            EXPECT_EQ(UnixStream::connect(address, soon()).error(), std::errc::operation_canceled);
            EXPECT_EQ(from.write_all(bytes, soon()).error(), std::errc::operation_canceled);
            EXPECT_EQ(from.write_some(bytes, soon()).error(), std::errc::operation_canceled);
            EXPECT_TRUE(from.write_all(as_bytes_of(""), soon())) << "there is nothing to do";
        });
        fiber.request_stop();
        fiber.join();
        EXPECT_TRUE(sender.send_to(as_bytes_of("x"), to, soon()));
        EXPECT_EQ(a.send_fds(as_bytes_of("x"), {}, soon()).value(), 1U);
    });
}

}  // namespace
}  // namespace coir::net
