#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/sanitized.hpp"
#include "support/forced_migration.hpp"
#include "support/give_way.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// Idle workers take their share of the work, and leave those alone that have just enough.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

/// Uses the processor for `work`, or longer if others want it as well.
void compute(Clock::duration work) {
    const auto end = Clock::now() + work;
    while (Clock::now() < end) {
    }
}

TEST(Stealing, WorkOfOneWorkerSpreadsOverAll) {
    if (test::migration_is_forced()) {
        GTEST_SKIP() << "fibers are sent on when they suspend then, and not stolen";
    }
    // A fiber must cost more than a spawn, or there is never any surplus.
    constexpr int kFibers = test::unless_tsan(1000, 300);
    constexpr Clock::duration kWork = test::unless_tsan(100us, 4000us);
    Runtime runtime({.workers = 4});
    std::array<std::atomic<int>, 4> ran_on{};
    runtime.run([&] {
        spawn({.worker = 0, .pinned = true}, [&] {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != kFibers; ++i) {
                fibers.push_back(spawn([&] {
                    compute(kWork);
                    ++ran_on[static_cast<std::size_t>(this_worker::index())];
                }));
            }
        }).join();
    });
    int all = 0;
    for (const auto& count : ran_on) {
        EXPECT_GT(count, 0);
        all += count;
    }
    EXPECT_EQ(all, kFibers);
    EXPECT_GT(runtime.stats().steals, 0U);
}

TEST(Stealing, FibersThatSuspendInBetweenSpreadAsWell) {
    constexpr Clock::duration kWork = test::unless_tsan(50us, 500us);
    Runtime runtime({.workers = 4});
    std::array<std::atomic<int>, 4> turns_on{};
    runtime.run([&] {
        spawn({.worker = 0, .pinned = true}, [&] {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != 200; ++i) {
                fibers.push_back(spawn([&] {
                    for (int turn = 0; turn != 10; ++turn) {
                        compute(kWork);
                        ++turns_on[static_cast<std::size_t>(this_worker::index())];
                        test::give_way(turn % 2 != 0, 100us);
                    }
                }));
            }
        }).join();
    });
    int all = 0;
    for (const auto& count : turns_on) {
        EXPECT_GT(count, 0);
        all += count;
    }
    EXPECT_EQ(all, 2000);
}

TEST(Stealing, PinnedFibersAreNeverTaken) {
    Runtime runtime({.workers = 4});
    std::atomic<int> elsewhere{0};
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != 200; ++i) {
            fibers.push_back(spawn({.worker = 2, .pinned = true}, [&] {
                compute(50us);
                elsewhere += this_worker::index() != 2;
            }));
        }
    });
    EXPECT_EQ(elsewhere, 0);
}

TEST(Stealing, IsLeftOutWhereTheOptionsSaySo) {
    if (test::migration_is_forced()) {
        GTEST_SKIP() << "every fiber goes to another worker when migration is forced";
    }
    Runtime runtime({.workers = 3, .steal = false});
    std::atomic<int> elsewhere{0};
    runtime.run([&] {
        spawn({.worker = 2, .pinned = true}, [&] {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != 100; ++i) {
                fibers.push_back(spawn([&] {
                    compute(100us);
                    elsewhere += this_worker::index() != 2;
                    this_fiber::sleep_for(100us);
                    elsewhere += this_worker::index() != 2;
                }));
            }
            compute(10ms);  // far longer than it takes others to see that this worker hangs
        }).join();
    });
    EXPECT_EQ(elsewhere, 0);
    EXPECT_EQ(runtime.stats().steals, 0U);
}

TEST(Stealing, IsNotNeededForFibersFromOutside) {
    Runtime runtime({.workers = 2, .steal = false});
    std::atomic<bool> done{false};
    std::atomic<bool> is_running{false};
    test::JoinedFiber busy = runtime.spawn({.worker = 0, .pinned = true}, [&] {
        is_running = true;
        const auto patience = soon();
        while (!done && !patience.has_passed(Clock::now())) {
        }
        EXPECT_TRUE(done);
    });
    ASSERT_TRUE(test::holds_before(soon(), [&] { return is_running.load(); }));
    EXPECT_EQ(runtime.run([] { return this_worker::index(); }), 1);
    done = true;
}

/// How many polls the runtime makes in `time`.
std::uint64_t polls_during(const Runtime& runtime, Clock::duration time) {
    const auto before = runtime.stats().polls;
    std::this_thread::sleep_for(time);
    return runtime.stats().polls - before;
}

/// Watchers look on for a moment after the last activity. (They once kept each other awake for good.)
bool becomes_quiet(const Runtime& runtime) {
    return test::holds_before(Deadline::after(8s),
                              [&] { return polls_during(runtime, 500ms) == 0; });
}

class IdleRuntime : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, IdleRuntime, testing::Values(1, 2, 4, 70));

TEST_P(IdleRuntime, StopsPolling) {
    Runtime runtime({.workers = GetParam()});
    const auto work = [] {
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != 100; ++i) {
            fibers.push_back(spawn([] { this_fiber::sleep_for(1ms); }));
        }
    };
    runtime.run(work);
    EXPECT_TRUE(becomes_quiet(runtime));
    runtime.run(work);  // and they still hear
}

TEST(IdleRuntime, WithAWaitingReaderSleepsUntilItsDeadline) {
    Runtime runtime({.workers = 3});
    IoSource source(test::make_eventfd());
    auto reader = runtime.spawn([&] { return source.wait_readable(Deadline::after(1h)).error(); });
    EXPECT_TRUE(becomes_quiet(runtime));
    test::signal(source.fd());
    EXPECT_EQ(reader.join(), std::error_code());
}

/// Whether there is a time of 100 ms in which workers that do `things` left each other alone: at most a
/// hundred steals, and `share` of the things done. Who is preempted by the kernel is looked after by the
/// other, and rightly so; thus not every such time is a quiet one on a machine that has others to serve.
bool are_left_alone(const Runtime& runtime, const std::atomic<long>& things, double share) {
    constexpr int kTries = 50;
    for (int i = 0; i != kTries; ++i) {
        const RuntimeStats before = runtime.stats();
        const long things_before = things;
        this_fiber::sleep_for(100ms);
        const RuntimeStats after = runtime.stats();
        const long done = things - things_before;
        const auto few = static_cast<std::uint64_t>(100 + share * static_cast<double>(done));
        if (done > 100 && after.steals - before.steals < few &&
            after.wakeups - before.wakeups < few && after.migrations - before.migrations < few) {
            return true;
        }
    }
    return false;
}

TEST(Stealing, LeavesABalancedPairAlone) {
    if (test::migration_is_forced()) {
        GTEST_SKIP() << "nobody is left alone when migration is forced";
    }
    // Each worker has always two fibers that are ready, which yield to each other: no surplus worth a
    // thief, no sleeper to wake.
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> fibers;
        std::atomic<bool> done{false};
        std::atomic<long> turns{0};
        for (int i = 0; i != 4; ++i) {
            fibers.push_back(spawn({.worker = i % 2}, [&] {
                while (!done) {
                    for (int turn = 0; turn != 100; ++turn) {
                        this_fiber::yield();
                    }
                    turns += 100;
                }
            }));
        }
        EXPECT_TRUE(are_left_alone(runtime, turns, 0));
        done = true;
    });
}

TEST(Stealing, LeavesSaturatedEchoPairsAlone) {
    // As above with descriptors: after they have settled, an event is polled, queued and run on one worker.
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        std::atomic<bool> done{false};
        std::atomic<long> messages{0};
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != 64; ++i) {
            auto pair = test::make_socket_pair();
            fibers.push_back(spawn({.worker = i % 2}, [&, fd = std::move(pair.first)]() mutable {
                IoSource source(std::move(fd));
                do {
                    test::put(source.fd(), "ping");
                    while (test::get(source.fd()) == "would block") {
                        ASSERT_TRUE(source.wait_readable(soon()));
                    }
                    ++messages;
                } while (!done);
            }));
            fibers.push_back(spawn({.worker = i % 2}, [fd = std::move(pair.second)]() mutable {
                IoSource source(std::move(fd));
                std::string text;
                while (text != "end") {
                    text = test::get(source.fd());
                    if (text == "would block") {
                        ASSERT_TRUE(source.wait_readable(soon()));
                    } else if (text != "end") {
                        test::put(source.fd(), text);
                    }
                }
            }));
        }
        // Two wake-ups of a fiber per echo, and a tenth of them abroad would be plenty.
        EXPECT_TRUE(are_left_alone(runtime, messages, 0.2));
        done = true;
    });
}

TEST(Runtime, GivesItsDescriptorsBackHoweverOftenItIsStartedAndStopped) {
    (void)test::open_descriptors();
    const auto before = test::open_descriptors();
    for (int round = 0; round != 200; ++round) {
        Runtime runtime({.workers = 1 + static_cast<std::size_t>(round) % 4});
        auto pipe = std::make_shared<test::FdPair>(test::make_pipe());
        // In flight while stop() begins: a reader, its writer, sleepers and a tree of spawns.
        runtime
            .spawn([pipe] {
                IoSource source(std::move(pipe->first));
                ASSERT_TRUE(source.wait_readable(soon()));
            })
            .detach();
        runtime
            .spawn([pipe] {
                std::vector<test::JoinedFiber<void>> fibers;
                for (int i = 0; i != 20; ++i) {
                    fibers.push_back(spawn([i] {
                        test::give_way(i % 2 == 0, 100us);
                        spawn([] { this_fiber::yield(); }).detach();
                    }));
                }
                test::put(pipe->second.get(), "x");
            })
            .detach();
    }
    EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace
}  // namespace coir
