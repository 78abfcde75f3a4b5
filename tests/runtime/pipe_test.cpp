#include "coir/runtime/pipe.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <string>
#include <string_view>

#include "coir/base/syscall.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string read_some(PipeReader& reader) {
    std::string text(64, '\0');
    text.resize(reader.read_some(std::as_writable_bytes(std::span(text)), soon()).value());
    return text;
}

/// Every case runs on a plain thread and on a fiber.
class PipeOn : public testing::TestWithParam<bool> {
protected:
    static void run(const std::function<void()>& body) {
        if (GetParam()) {
            Runtime({.workers = 2}).run(body);
        } else {
            body();
        }
    }
};

INSTANTIATE_TEST_SUITE_P(Where, PipeOn, testing::Bool(), [](const auto& instance) {
    return instance.param ? "AFiber" : "APlainThread";
});

TEST_P(PipeOn, ReadSomeReturnsWhatWasWrittenAndZeroAtTheEnd) {
    run([] {
        auto [reader, writer] = Pipe::create().value();
        ASSERT_TRUE(writer.write_all(bytes_of("through"), soon()));
        EXPECT_EQ(read_some(reader), "through");
        writer = PipeWriter();
        EXPECT_EQ(read_some(reader), "");
    });
}

TEST_P(PipeOn, WaitsEndAtTheirDeadline) {
    run([] {
        auto [reader, writer] = Pipe::create().value();
        std::array<std::byte, 8> space;
        EXPECT_EQ(reader.read_some(space, Deadline::after(2ms)).error(), std::errc::timed_out);
        const std::string much(1 << 20, 'x');  // more than a pipe takes
        EXPECT_EQ(writer.write_all(bytes_of(much), Deadline::after(2ms)).error(),
                  std::errc::timed_out);
        EXPECT_EQ(read_some(reader), std::string(64, 'x'));
    });
}

TEST_P(PipeOn, WritingWithoutAReaderIsAnErrorAndNoSignal) {
    run([] {
        auto [reader, writer] = Pipe::create().value();
        reader = PipeReader();
        sigset_t before;
        pthread_sigmask(SIG_SETMASK, nullptr, &before);
        // SIGPIPE would end the process.
        EXPECT_EQ(writer.write_all(bytes_of("x"), soon()).error(), std::errc::broken_pipe);
        sigset_t blocked;
        pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        EXPECT_EQ(sigismember(&blocked, SIGPIPE), sigismember(&before, SIGPIPE));
    });
}

TEST(Pipe, ASignalOfSomebodyElseStaysPending) {
    auto [reader, writer] = Pipe::create().value();
    reader = PipeReader();
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr), 0);
    ASSERT_EQ(raise(SIGPIPE), 0);
    EXPECT_EQ(writer.write_all(bytes_of("x"), soon()).error(), std::errc::broken_pipe);
    const timespec at_once{};
    EXPECT_EQ(sigtimedwait(&pipe_signal, nullptr, &at_once), SIGPIPE);
    pthread_sigmask(SIG_UNBLOCK, &pipe_signal, nullptr);
}

TEST(Pipe, CarriesMoreThanItHolds) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto [reader, writer] = Pipe::create().value();
        constexpr std::size_t kBytes = 1 << 20;
        auto sender = spawn([&writer = writer] {
            const std::string much(kBytes, 'x');
            ASSERT_TRUE(writer.write_all(bytes_of(much), soon()));
            writer = PipeWriter();
        });
        std::size_t total = 0;
        for (;;) {
            const std::size_t size = read_some(reader).size();
            if (size == 0) {
                break;
            }
            total += size;
        }
        EXPECT_EQ(total, kBytes);
        sender.join();
    });
}

TEST(Pipe, CancelEndsTheWaitsOfBothEnds) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto [reader, writer] = Pipe::create().value();
        auto reading = spawn([&reader = reader] {
            std::array<std::byte, 8> space;
            return reader.read_some(space, soon()).error();
        });
        this_fiber::sleep_for(1ms);
        reader.cancel();
        EXPECT_EQ(reading.join(), std::errc::operation_canceled);
        writer.cancel();
        EXPECT_EQ(writer.write_all(bytes_of("x"), soon()).error(), std::errc::operation_canceled);
    });
}

TEST(Pipe, ARequestToStopEndsARead) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto [reader, writer] = Pipe::create().value();
        auto reading = spawn([&reader = reader] {
            std::array<std::byte, 8> space;
            return reader.read_some(space, soon()).error();
        });
        reading.request_stop();
        EXPECT_EQ(reading.join(), std::errc::operation_canceled);
        ASSERT_TRUE(writer.write_all(bytes_of("still"), soon()));
        EXPECT_EQ(read_some(reader), "still");
    });
}

TEST(Pipe, AFiberThatIsAskedToStopReadsAndWritesNothingMore) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        auto [reader, writer] = Pipe::create().value();
        ASSERT_TRUE(writer.write_all(bytes_of("there"), soon()));
        auto stopped = spawn([&reader = reader, &writer = writer] {
            std::array<std::byte, 8> space;
            EXPECT_EQ(reader.read_some(space, soon()).error(), std::errc::operation_canceled);
            EXPECT_EQ(writer.write_all(bytes_of("more"), soon()).error(),
                      std::errc::operation_canceled);
        });
        stopped.request_stop();
        stopped.join();
        EXPECT_EQ(read_some(reader), "there");
    });
}

}  // namespace
}  // namespace coir
