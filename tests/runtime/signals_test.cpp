#include "coir/runtime/signals.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/select.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

TEST(SignalStream, DeliversSignalsToAFiberWithTheirSender) {
    auto signals = SignalStream::open({SIGTERM, SIGUSR1}).value();
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);  // would end the process
        const auto info = signals.next(soon()).value();
        EXPECT_EQ(info.number, SIGTERM);
        EXPECT_EQ(info.code, SI_USER);
        EXPECT_EQ(info.pid, ::getpid());
        EXPECT_EQ(info.uid, ::getuid());
    });
}

TEST(SignalStream, WakesAFiberThatWaits) {
    auto signals = SignalStream::open({SIGUSR1}).value();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        for (int round = 0; round != 10; ++round) {
            auto waiting = spawn([&] { return signals.next(soon()).value().number; });
            this_fiber::sleep_for(1ms);
            ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
            EXPECT_EQ(waiting.join(), SIGUSR1);
        }
    });
}

TEST(SignalStream, CanBeOneOfSeveralThatAreWaitedFor) {
    auto signals = SignalStream::open({SIGUSR1}).value();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
        EXPECT_EQ(select(on_deadline(soon()), on_readable(signals.source())).value(), 1U);
        EXPECT_EQ(signals.next(soon()).value().number, SIGUSR1);
    });
}

TEST(SignalStream, WorksOnAPlainThread) {
    auto signals = SignalStream::open({SIGUSR1}).value();
    EXPECT_EQ(signals.next(Deadline::after(2ms)).error(), std::errc::timed_out);
    ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
    EXPECT_EQ(signals.next(soon()).value().number, SIGUSR1);
}

TEST(SignalStream, KeepsEveryRealTimeSignalWithItsValue) {
    const int number = SIGRTMIN + 3;
    auto signals = SignalStream::open({number}).value();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        for (int i = 1; i <= 3; ++i) {
            sigval value{};
            value.sival_int = i;
            ASSERT_EQ(::sigqueue(::getpid(), number, value), 0);
        }
        for (int i = 1; i <= 3; ++i) {
            const auto info = signals.next(soon()).value();
            EXPECT_EQ(info.number, number);
            EXPECT_EQ(info.value, i);
        }
    });
}

TEST(SignalStream, TellsOfAChildThatHasEnded) {
    auto signals = SignalStream::open({SIGCHLD}).value();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        // One that is pending from a child of an earlier test would be kept instead.
        while (signals.next(Deadline::after(1ms))) {
        }
        const pid_t child = ::fork();
        if (child == 0) {
            ::_exit(7);
        }
        ASSERT_GT(child, 0);
        const auto info = signals.next(soon()).value();
        EXPECT_EQ(info.number, SIGCHLD);
        EXPECT_EQ(info.pid, child);
        EXPECT_EQ(info.status, 7);
        ::waitpid(child, nullptr, 0);
    });
}

TEST(SignalStream, CanBeOpenedOnAFiberIfTheSignalsWereBlockedBefore) {
    ASSERT_TRUE(block_signals({SIGHUP}));
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto signals = SignalStream::open({SIGHUP}).value();
        ASSERT_EQ(::kill(::getpid(), SIGHUP), 0);
        EXPECT_EQ(signals.next(soon()).value().number, SIGHUP);
    });
}

TEST(SignalStream, RefusesWhatCannotBeBlocked) {
    EXPECT_EQ(SignalStream::open({SIGKILL}).error(), std::errc::invalid_argument);
    EXPECT_EQ(SignalStream::open({SIGWINCH, SIGSTOP}).error(), std::errc::invalid_argument);
    EXPECT_EQ(block_signals({0}).error(), std::errc::invalid_argument);
    EXPECT_EQ(block_signals({1000}).error(), std::errc::invalid_argument);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    EXPECT_EQ(sigismember(&blocked, SIGWINCH), 0) << "a failure must leave the mask alone";
}

TEST(SignalStream, CancelAndARequestToStopEndTheWait) {
    auto signals = SignalStream::open({SIGUSR1}).value();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        auto stopped = spawn([&] { return signals.next(soon()).error(); });
        stopped.request_stop();
        EXPECT_EQ(stopped.join(), std::errc::operation_canceled);
        auto waiting = spawn([&] { return signals.next(soon()).error(); });
        this_fiber::yield();
        signals.cancel();
        EXPECT_EQ(waiting.join(), std::errc::operation_canceled);
    });
}

TEST(SignalStream, AFiberThatIsAskedToStopLeavesASignalThatHasCome) {
    auto signals = SignalStream::open({SIGUSR1}).value();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
        auto stopped = spawn([&] { return signals.next(soon()).error(); });
        stopped.request_stop();
        EXPECT_EQ(stopped.join(), std::errc::operation_canceled);
        EXPECT_EQ(signals.next(soon()).value().number, SIGUSR1);
    });
}

}  // namespace
}  // namespace coir
