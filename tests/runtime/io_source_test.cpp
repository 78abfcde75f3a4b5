#include "coir/runtime/io_source.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

/// Fills the socket until it takes no more.
void fill(int fd) {
    const std::vector<std::byte> block(16 * 1024);
    while (syscall::write(fd, block)) {
    }
}

class IoSourceOnWorkers : public testing::TestWithParam<std::size_t> {
protected:
    template <typename F>
    void run(F body) {
        Runtime runtime({.workers = GetParam()});
        runtime.run(std::move(body));
    }
};

INSTANTIATE_TEST_SUITE_P(Workers, IoSourceOnWorkers, testing::Values(1, 2, 4));

TEST_P(IoSourceOnWorkers, ReadinessBeforeTheWaitIsSeen) {
    run([] {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        test::put(pipe.second.get(), "early");
        EXPECT_TRUE(source.wait_readable(soon()));
        EXPECT_EQ(test::get(source.fd()), "early");
    });
}

TEST_P(IoSourceOnWorkers, ReadinessDuringTheWaitEndsIt) {
    run([] {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        test::JoinedFiber writer = spawn([fd = pipe.second.get()] {
            this_fiber::sleep_for(2ms);
            test::put(fd, "late");
        });
        EXPECT_TRUE(source.wait_readable(soon()));
        EXPECT_EQ(test::get(source.fd()), "late");
    });
}

TEST_P(IoSourceOnWorkers, ReadinessBetweenTwoWaitsIsNotLost) {
    run([] {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        for (int round = 0; round != 100; ++round) {
            test::put(pipe.second.get(), "x");
            this_fiber::yield();
            // A wait may end without reason; the read then says so.
            std::string text;
            do {
                ASSERT_TRUE(source.wait_readable(soon()));
                text = test::get(source.fd());
            } while (text == "would block");
            ASSERT_EQ(text, "x");
        }
    });
}

TEST_P(IoSourceOnWorkers, AWaitThatTimesOutLeavesTheSourceUsable) {
    run([] {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        for (int round = 0; round != 3; ++round) {
            const auto begin = Clock::now();
            const auto waited = source.wait_readable(Deadline::after(5ms));
            EXPECT_EQ(waited.error(), std::errc::timed_out);
            EXPECT_GE(Clock::now() - begin, 5ms);
        }
        test::put(pipe.second.get(), "after all");
        EXPECT_TRUE(source.wait_readable(soon()));
        EXPECT_EQ(test::get(source.fd()), "after all");
    });
}

TEST_P(IoSourceOnWorkers, ADeadlineThatHasPassedTimesOutAtOnce) {
    run([] {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        const auto waited = source.wait_readable(Deadline::at(Clock::now() - 1s));
        EXPECT_EQ(waited.error(), std::errc::timed_out);
    });
}

TEST_P(IoSourceOnWorkers, CancelWakesTheReaderAndTheWriterAndEndsEveryLaterWait) {
    run([] {
        auto sockets = test::make_socket_pair();
        fill(sockets.first.get());
        IoSource source(std::move(sockets.first));
        std::atomic<int> waiting{0};
        auto reader = spawn([&] {
            ++waiting;
            return source.wait_readable(soon()).error();
        });
        auto writer = spawn([&] {
            ++waiting;
            return source.wait_writable(soon()).error();
        });
        while (waiting != 2) {
            this_fiber::yield();
        }
        this_fiber::sleep_for(2ms);
        source.cancel();
        EXPECT_EQ(reader.join(), std::errc::operation_canceled);
        EXPECT_EQ(writer.join(), std::errc::operation_canceled);
        EXPECT_EQ(source.wait_readable(soon()).error(), std::errc::operation_canceled);
        EXPECT_EQ(source.wait_writable(soon()).error(), std::errc::operation_canceled);
        EXPECT_TRUE(source.is_canceled());
    });
}

TEST_P(IoSourceOnWorkers, CancelBeforeTheFirstWaitEndsIt) {
    run([] {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        source.cancel();
        EXPECT_EQ(source.wait_readable(soon()).error(), std::errc::operation_canceled);
    });
}

TEST_P(IoSourceOnWorkers, CancelFromAPlainThreadWakesAFiber) {
    run([] {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        std::thread other([&] {
            std::this_thread::sleep_for(2ms);
            source.cancel();
        });
        EXPECT_EQ(source.wait_readable(soon()).error(), std::errc::operation_canceled);
        other.join();
    });
}

TEST_P(IoSourceOnWorkers, WakeReaderEndsTheWaitAndNothingElse) {
    run([] {
        auto sockets = test::make_socket_pair();
        IoSource source(std::move(sockets.first));
        for (int round = 0; round != 100; ++round) {
            std::atomic<bool> waiting{false};
            auto reader = spawn([&] {
                waiting = true;
                return source.wait_readable(soon()).error();
            });
            while (!waiting) {
                this_fiber::yield();
            }
            source.wake_reader();
            EXPECT_EQ(reader.join(), std::error_code());
            EXPECT_EQ(test::get(source.fd()), "would block");
        }
        test::put(sockets.second.get(), "after all");
        EXPECT_TRUE(source.wait_readable(soon()));
        EXPECT_EQ(test::get(source.fd()), "after all");
    });
}

TEST_P(IoSourceOnWorkers, WakeReaderBeforeTheWaitEndsTheNextOne) {
    run([] {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        std::thread([&] { source.wake_reader(); }).join();
        EXPECT_TRUE(source.wait_readable(soon()));
        EXPECT_EQ(source.wait_readable(Deadline::after(5ms)).error(), std::errc::timed_out);
        source.cancel();
        source.wake_reader();
        EXPECT_EQ(source.wait_readable(soon()).error(), std::errc::operation_canceled);
    });
}

TEST_P(IoSourceOnWorkers, HangUpIsNotLostAfterAShortRead) {
    // Edge-triggered epoll tells of the end of the stream once, perhaps together with the last bytes.
    run([] {
        for (int round = 0; round != 50; ++round) {
            auto sockets = test::make_socket_pair();
            IoSource source(std::move(sockets.first));
            auto closer = spawn([fd = std::move(sockets.second)]() mutable {
                test::put(fd.get(), "last");
                fd.reset();
            });
            std::string text;
            do {
                ASSERT_TRUE(source.wait_readable(soon()));
                text = test::get(source.fd());
            } while (text == "would block");
            ASSERT_EQ(text, "last");
            closer.join();
            do {
                ASSERT_TRUE(source.wait_readable(soon()));
                text = test::get(source.fd());
            } while (text == "would block");
            ASSERT_EQ(text, "end");
        }
    });
}

TEST_P(IoSourceOnWorkers, AWriterWaitsEvenIfThePeerHasFinishedSending) {
    // The peer's half-close (EPOLLRDHUP) says nothing of our sending half. It once ended every wait for
    // space at once, so that a slow reader made its writer spin, deaf to deadlines.
    run([] {
        auto sockets = test::make_socket_pair();
        IoSource source(std::move(sockets.first));
        ASSERT_TRUE(syscall::shutdown(sockets.second.get(), SHUT_WR));
        ASSERT_TRUE(source.wait_readable(soon()));
        ASSERT_EQ(test::get(source.fd()), "end");
        fill(source.fd());
        (void)source.wait_writable(Deadline::after(1ms));  // one edge may be left from before
        const auto waited = source.wait_writable(Deadline::after(20ms));
        EXPECT_EQ(waited.error(), std::errc::timed_out);
    });
}

TEST_P(IoSourceOnWorkers, ReaderAndWriterOnDifferentWorkersEachGetTheirEvents) {
    run([] {
        const int workers = this_worker::count();
        auto sockets = test::make_socket_pair();
        fill(sockets.first.get());
        IoSource source(std::move(sockets.first));
        for (int round = 0; round != 50; ++round) {
            auto reader = spawn({.worker = 0, .pinned = true}, [&] {
                std::string text;
                do {
                    ASSERT_TRUE(source.wait_readable(soon()));
                    text = test::get(source.fd());
                } while (text == "would block");
                EXPECT_EQ(text, "in");
            });
            auto writer = spawn({.worker = workers - 1, .pinned = true}, [&] {
                for (;;) {
                    ASSERT_TRUE(source.wait_writable(soon()));
                    const auto written = syscall::write(source.fd(), std::vector<std::byte>(64));
                    if (written) {
                        break;
                    }
                    ASSERT_TRUE(syscall::would_block(written.error()));
                }
                fill(source.fd());
            });
            test::put(sockets.second.get(), "in");
            // Makes room for the writer; it may be filling the socket again already.
            std::vector<std::byte> drain(1024 * 1024);
            while (syscall::read(sockets.second.get(), drain)) {
            }
            reader.join();
            writer.join();
        }
    });
}

TEST_P(IoSourceOnWorkers, ADescriptorFollowsItsFiberFromWorkerToWorker) {
    run([] {
        const int workers = this_worker::count();
        IoSource source(test::make_eventfd());
        for (int round = 0; round != 20; ++round) {
            const int home = round % workers;
            test::JoinedFiber handle = spawn({.worker = home, .pinned = true}, [&] {
                for (int i = 0; i != 5; ++i) {
                    auto other = spawn([&] { test::signal(source.fd()); });
                    std::uint64_t signals = 0;
                    while (signals == 0) {
                        ASSERT_TRUE(source.wait_readable(soon()));
                        signals = test::take_signals(source.fd());
                    }
                    other.join();
                }
            });
        }
    });
}

TEST(IoSource, DeadlinesNearAndFarPassInTheirOrder) {
    // A worker that sleeps leaves far ones to an alarm, which must follow when a nearer one comes.
    Runtime runtime({.workers = 1});
    runtime.run([] {
        const auto begin = Clock::now() + 200ms;  // when all of them wait
        std::vector<int> passed;
        std::vector<test::JoinedFiber<void>> waiters;
        for (const int wait : {400, 30, 200, 5, 100, 60}) {
            waiters.push_back(spawn([&, wait] {
                IoSource source(test::make_eventfd());
                const auto deadline = begin + wait * 1ms;
                EXPECT_EQ(source.wait_readable(Deadline::at(deadline)).error(),
                          std::errc::timed_out);
                EXPECT_GE(Clock::now(), deadline);
                passed.push_back(wait);
            }));
        }
        waiters.clear();
        EXPECT_LT(Clock::now() - begin, 10s);
        EXPECT_EQ(passed, (std::vector{5, 30, 60, 100, 200, 400}));
    });
}

TEST(IoSource, OutlivesTheRuntimeItWasFirstUsedIn) {
    // The second runtime's epoll may well get the first one's number.
    auto pipe = test::make_pipe();
    IoSource source(std::move(pipe.first));
    for (int round = 0; round != 20; ++round) {
        const std::size_t workers = round % 2 == 0 ? 1 : 3;
        Runtime runtime({.workers = workers});
        runtime.run([&] {
            EXPECT_EQ(source.wait_readable(Deadline::after(1ms)).error(), std::errc::timed_out);
            test::JoinedFiber writer = spawn([&] { test::put(pipe.second.get(), "x"); });
            EXPECT_TRUE(source.wait_readable(soon()));
            EXPECT_EQ(test::get(source.fd()), "x");
        });
    }
}

TEST(IoSource, HearsInTheNextRuntimeFromTheFirstWaitOn) {
    // That wait once relied on the poller of the runtime that had ended.
    auto pipe = test::make_pipe();
    IoSource source(std::move(pipe.first));
    for (int round = 0; round != 20; ++round) {
        Runtime runtime({.workers = 1});
        runtime.run([&] {
            test::JoinedFiber writer = spawn([&] { test::put(pipe.second.get(), "x"); });
            EXPECT_TRUE(source.wait_readable(soon()));
            EXPECT_EQ(test::get(source.fd()), "x");
        });
    }
}

/// A deadline that was met stays in its worker's wheel, to be renewed by later waits. Now it is in one of
/// `runtime`, and comes up after `deadline`.
IoSource leave_deadline_in(Runtime& runtime, const test::FdPair& pipe, Deadline deadline) {
    IoSource source(UniqueFd(::dup(pipe.first.get())));
    runtime.run([&] {
        test::JoinedFiber writer = spawn([&] { test::put(pipe.second.get(), "x"); });
        EXPECT_TRUE(source.wait_readable(deadline));
        EXPECT_EQ(test::get(source.fd()), "x");
    });
    return source;
}

/// What each of these does to the first runtime once went on with the deadline of the second.
TEST(IoSource, KeepsItsDeadlinesInTheNextRuntime) {
    const auto pipe = test::make_pipe();
    IoSource source;
    {
        Runtime first({.workers = 1});
        source = leave_deadline_in(first, pipe, Deadline::after(1s));
    }
    Runtime({.workers = 1}).run([&] {
        EXPECT_EQ(source.wait_readable(Deadline::after(1100ms)).error(), std::errc::timed_out);
    });
}

TEST(IoSource, KeepsItsDeadlinesWhenTheFirstRuntimeHasStopped) {
    const auto pipe = test::make_pipe();
    Runtime first({.workers = 1});
    IoSource source = leave_deadline_in(first, pipe, Deadline::after(1s));
    first.stop();
    Runtime({.workers = 1}).run([&] {
        EXPECT_EQ(source.wait_readable(Deadline::after(1100ms)).error(), std::errc::timed_out);
    });
}

TEST(IoSource, KeepsItsDeadlinesWhenTheFirstRuntimeStopsMeanwhile) {
    const auto pipe = test::make_pipe();
    Runtime first({.workers = 1});
    IoSource source = leave_deadline_in(first, pipe, Deadline::after(1s));
    Runtime second({.workers = 1});
    std::atomic<bool> is_waiting{false};
    auto waiter = second.spawn([&] {
        is_waiting = true;
        return source.wait_readable(Deadline::after(1100ms)).error();
    });
    EXPECT_TRUE(test::holds_before(soon(), [&] { return is_waiting.load(); }));
    first.stop();
    EXPECT_EQ(waiter.join(), std::errc::timed_out);
}

TEST(IoSource, ReusedDescriptorNumbersAreNewSources) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        for (int round = 0; round != 500; ++round) {
            auto pipe = test::make_pipe();
            IoSource source(std::move(pipe.first));
            EXPECT_EQ(source.wait_readable(Deadline::at(Clock::now())).error(),
                      std::errc::timed_out);
            if (round % 2 == 0) {
                source.cancel();
            } else {
                test::put(pipe.second.get(), "left behind");
            }
        }
    });
}

// A duplicate, or a child process, keeps what was closed here in the epoll. It was refused then when it came
// back under its old number.
TEST(IoSource, ADescriptorThatComesBackUnderItsOldNumberIsANewSource) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        auto pipe = test::make_pipe();
        const UniqueFd duplicate(::dup(pipe.first.get()));
        ASSERT_TRUE(duplicate);
        const int number = pipe.first.get();
        {
            IoSource first(std::move(pipe.first));
            EXPECT_EQ(first.wait_readable(Deadline::after(1ms)).error(), std::errc::timed_out);
        }
        IoSource second(UniqueFd(::fcntl(duplicate.get(), F_DUPFD_CLOEXEC, number)));
        ASSERT_EQ(second.fd(), number);
        EXPECT_EQ(second.wait_readable(Deadline::after(1ms)).error(), std::errc::timed_out);
        test::put(pipe.second.get(), "x");
        EXPECT_EQ(second.wait_readable(soon()).error(), std::error_code());
        EXPECT_EQ(test::get(second.fd()), "x");
    });
}

TEST(IoSource, APlainThreadBlocksInTheWait) {
    auto pipe = test::make_pipe();
    IoSource source(std::move(pipe.first));
    EXPECT_EQ(source.wait_readable(Deadline::after(5ms)).error(), std::errc::timed_out);
    std::thread writer([&] {
        std::this_thread::sleep_for(5ms);
        test::put(pipe.second.get(), "x");
    });
    EXPECT_TRUE(source.wait_readable(soon()));
    EXPECT_EQ(test::get(source.fd()), "x");
    writer.join();
    std::thread canceler([&] {
        std::this_thread::sleep_for(5ms);
        source.cancel();
    });
    EXPECT_EQ(source.wait_readable(soon()).error(), std::errc::operation_canceled);
    canceler.join();
}

TEST(IoSource, AWaitWithoutADescriptorIsAnErrorOnAFiberAndOnAThread) {
    const auto wait = [] {
        IoSource source;
        return source.wait_readable(Deadline::after(5ms)).error();
    };
    EXPECT_EQ(wait(), std::errc::bad_file_descriptor);  // once poll() ignored it, and waited
    EXPECT_EQ(Runtime({.workers = 1}).run(wait), std::errc::bad_file_descriptor);
}

#ifndef NDEBUG
TEST(IoSourceDeathTest, RefusesToEndWhileAFiberWaits) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Runtime runtime({.workers = 1});
            runtime.run([] {
                std::optional<IoSource> source(test::make_eventfd());
                auto reader = spawn([&] { (void)source->wait_readable(Deadline::never()); });
                this_fiber::yield();  // until it waits
                source.reset();       // its fiber was lost
            });
        },
        "holds_waiter");
}
#endif

TEST(IoSource, MovesWithItsEvents) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto pipe = test::make_pipe();
        IoSource first(std::move(pipe.first));
        EXPECT_EQ(first.wait_readable(Deadline::after(1ms)).error(), std::errc::timed_out);
        test::put(pipe.second.get(), "x");
        IoSource second(std::move(first));
        EXPECT_FALSE(first.is_open());
        EXPECT_TRUE(second.wait_readable(soon()));
        EXPECT_EQ(test::get(second.fd()), "x");
        first = std::move(second);
        test::put(pipe.second.get(), "y");
        EXPECT_TRUE(first.wait_readable(soon()));
        EXPECT_EQ(test::get(first.fd()), "y");
    });
}

}  // namespace
}  // namespace coir
