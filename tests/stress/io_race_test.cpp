#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "coir/base/syscall.hpp"
#include "coir/net/tcp_stream.hpp"
#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "stress/seed.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// Readiness, timeout and cancel() race for the same waiter, on several workers. Each wait must end, once,
// and for a reason that is true.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::SmallRandom;
using test::soon;
using Clock = Deadline::Clock;

constexpr std::size_t kWorkers = 4;

void dawdle(SmallRandom& random) {
    switch (random.below(5)) {
        case 0: this_fiber::yield(); break;
        case 1: this_fiber::sleep_for(std::chrono::microseconds(random.below(300))); break;
        case 2: {
            const auto end = Clock::now() + std::chrono::microseconds(random.below(30));
            while (Clock::now() < end) {
            }
            break;
        }
        default: break;
    }
}

TEST(IoSourceRaces, NoSignalIsLostHoweverOftenTheReaderTimesOut) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = kWorkers});
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> pairs;
        std::atomic<long> timeouts{0};
        std::atomic<long> spurious{0};
        for (int pair = 0; pair != 16; ++pair) {
            pairs.push_back(spawn({.worker = pair % int{kWorkers}}, [&, pair] {
                constexpr std::uint64_t kSignals = 2500;
                IoSource source(test::make_eventfd());
                test::JoinedFiber writer = spawn([&source, seed, pair] {
                    SmallRandom random(seed, 1000 + pair);
                    for (std::uint64_t i = 0; i != kSignals; ++i) {
                        test::signal(source.fd());
                        dawdle(random);
                    }
                });
                SmallRandom random(seed, pair);
                std::uint64_t received = 0;
                int silent = 0;
                while (received != kSignals) {
                    // Timeouts around the time between two signals; the last resort is a failure.
                    const auto wait = std::chrono::microseconds(random.below(200));
                    const auto waited =
                        source.wait_readable(random.below(4) == 0 ? soon() : Deadline::after(wait));
                    const std::uint64_t signals = test::take_signals(source.fd());
                    received += signals;
                    if (!waited) {
                        ASSERT_EQ(waited.error(), std::errc::timed_out);
                        ++timeouts;
                    } else if (signals == 0) {
                        ++spurious;
                    }
                    silent = signals == 0 ? silent + 1 : 0;
                    ASSERT_LT(silent, 100'000);
                }
            }));
        }
        pairs.clear();
        std::cout << timeouts << " timeouts, " << spurious << " spurious wake-ups\n";
        EXPECT_GT(timeouts, 0);
    });
}

TEST(IoSourceRaces, AWaitWithoutADeadlineAlwaysHearsTheSignal) {
    // Ping-pong, nothing else: a lost edge or wake-up stops it for good.
    Runtime runtime({.workers = kWorkers});
    runtime.run([] {
        std::vector<test::JoinedFiber<void>> pairs;
        for (int pair = 0; pair != 12; ++pair) {
            auto sockets = std::make_shared<test::FdPair>(test::make_socket_pair());
            const auto play = [](IoSource& source, int rounds, bool begins) {
                for (int i = 0; i != rounds; ++i) {
                    if (begins || i != 0) {
                        test::put(source.fd(), "x");
                    }
                    while (test::get(source.fd()) == "would block") {
                        ASSERT_TRUE(source.wait_readable(soon())) << "after " << i << " rounds";
                    }
                }
                if (!begins) {
                    test::put(source.fd(), "x");
                }
            };
            // Sometimes both at one worker, sometimes not.
            pairs.push_back(spawn({.worker = pair % 4}, [sockets, play] {
                IoSource source(std::move(sockets->first));
                play(source, 3000, true);
            }));
            pairs.push_back(spawn({.worker = pair / 4}, [sockets, play] {
                IoSource source(std::move(sockets->second));
                play(source, 3000, false);
            }));
        }
    });
}

TEST(IoSourceRaces, CancelSignalAndTimeoutAtOnceEndTheWaitOfBothFibers) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = kWorkers});
    runtime.run([&] {
        std::array<std::atomic<int>, 3> ends{};  // ready, timed out, canceled
        std::vector<test::JoinedFiber<void>> lanes;
        for (int lane = 0; lane != 8; ++lane) {
            lanes.push_back(spawn({.worker = lane % int{kWorkers}}, [&, lane] {
                SmallRandom random(seed, lane);
                for (int round = 0; round != 500; ++round) {
                    auto sockets = test::make_socket_pair();
                    IoSource source(std::move(sockets.first));
                    const auto wait = [&](Result<void> (IoSource::*direction)(Deadline), int who) {
                        SmallRandom dice(seed, 100'000 * lane + 4 * round + who);
                        bool canceled = false;
                        while (!canceled) {
                            const auto timeout = std::chrono::microseconds(dice.below(150));
                            const auto waited = (source.*direction)(
                                dice.below(3) == 0 ? soon() : Deadline::after(timeout));
                            canceled = waited.error() == std::errc::operation_canceled;
                            const bool timed_out = waited.error() == std::errc::timed_out;
                            ASSERT_TRUE(waited || canceled || timed_out);
                            ++ends[canceled ? 2U : timed_out ? 1U : 0U];
                            (void)test::get(source.fd());
                        }
                    };
                    test::JoinedFiber reader = spawn([&] { wait(&IoSource::wait_readable, 0); });
                    test::JoinedFiber writer = spawn({.worker = random.below(int{kWorkers})},
                                                     [&] { wait(&IoSource::wait_writable, 1); });
                    auto peer = spawn([&, fd = sockets.second.get()] {
                        SmallRandom dice(seed, 100'000 * lane + 4 * round + 2);
                        for (int i = dice.below(6); i != 0; --i) {
                            test::put(fd, "x");
                            dawdle(dice);
                        }
                    });
                    dawdle(random);
                    dawdle(random);
                    peer.join();
                    round % 2 == 0 ? source.cancel() : source.close();
                }
            }));
        }
        lanes.clear();
        std::cout << ends[0] << " ready, " << ends[1] << " timed out, " << ends[2] << " canceled\n";
        EXPECT_EQ(ends[2], 2 * 8 * 500);
    });
}

TEST(IoSourceRaces, CancelFromPlainThreadsEndsEveryWait) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = kWorkers});
    SmallRandom random(seed, 0);
    for (int round = 0; round != 600; ++round) {
        std::array<IoSource, 4> sources;
        std::vector<test::JoinedFiber<std::error_code>> readers;
        std::atomic<int> waiting{0};
        for (IoSource& source : sources) {
            source = IoSource(test::make_eventfd());
            readers.push_back(runtime.spawn([&] {
                ++waiting;
                return source.wait_readable(soon()).error();
            }));
        }
        if (round % 2 == 0) {
            while (waiting != 4) {
                std::this_thread::yield();
            }
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random.below(100)));
        for (IoSource& source : sources) {
            source.cancel();
        }
        for (auto& reader : readers) {
            EXPECT_EQ(reader.join(), std::errc::operation_canceled);
        }
    }
}

TEST(IoSourceRaces, WhoLearnsOfAClosedSourceMayDestroyIt) {
    // The reader hears of it before close() is done, on another worker. close() once went on to close the
    // waits of the next source that got the memory, and to shut its descriptor down.
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = kWorkers});
    runtime.run([&] {
        SmallRandom random(seed, 0);
        const std::vector<std::byte> bytes(1000);
        for (int round = 0; round != 4000; ++round) {
            auto sockets = test::make_socket_pair();
            (void)syscall::write(sockets.second.get(), bytes);
            auto stream = std::make_unique<net::TcpStream>(std::move(sockets.first));
            net::TcpStream& closing = *stream;
            std::atomic<bool> is_reading{false};
            auto reader = spawn({.worker = 1, .pinned = true}, [&] {
                std::array<std::byte, 1> byte;
                for (bool open = true; open;) {
                    is_reading = true;
                    const auto size = stream->read_some(byte, soon());
                    open = size && *size != 0;
                }
                stream.reset();
            });
            while (!is_reading) {
                this_fiber::yield();
            }
            for (int i = random.below(64); i != 0; --i) {
                asm volatile("");
            }
            closing.close();
            reader.join();
            auto fresh = test::make_socket_pair();
            net::TcpStream stranger(std::move(fresh.first));
            std::array<std::byte, 1> byte;
            ASSERT_EQ(stranger.read_some(byte, Deadline::at(Clock::now())).error(),
                      std::errc::timed_out);
        }
    });
}

TEST(IoSourceRaces, DescriptorNumbersAreReusedWhileOldEventsAreOnTheirWay) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = kWorkers});
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> lanes;
        for (int lane = 0; lane != 12; ++lane) {
            lanes.push_back(spawn({.worker = lane % int{kWorkers}}, [&, lane] {
                SmallRandom random(seed, lane);
                for (int round = 0; round != 1500; ++round) {
                    auto sockets = test::make_socket_pair();
                    IoSource source(std::move(sockets.first));
                    // The peer speaks or hangs up, and sometimes all is closed before anybody looks.
                    test::JoinedFiber peer = spawn(
                        [fd = std::move(sockets.second), speaks = random.below(2) == 0]() mutable {
                            if (speaks) {
                                test::put(fd.get(), "x");
                            }
                            fd.reset();
                        });
                    if (random.below(3) == 0) {
                        (void)source.wait_readable(Deadline::at(Clock::now()));
                        continue;
                    }
                    for (std::string text = "would block"; text != "end";) {
                        ASSERT_TRUE(source.wait_readable(soon()));
                        text = test::get(source.fd());
                        ASSERT_TRUE(text == "x" || text == "end" || text == "would block") << text;
                    }
                }
            }));
        }
    });
}

}  // namespace
}  // namespace coir
