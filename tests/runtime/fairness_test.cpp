#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// Nobody who is ready waits for long, however busy the others are. One worker, so that none can help.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

/// Fibers that yield in a loop until the end of the test.
class Busy final {
public:
    Busy(int count, SpawnOptions options, Clock::duration work = {}) {
        for (int i = 0; i != count; ++i) {
            fibers_.push_back(spawn(options, [this, work] {
                while (!done_) {
                    const auto until = Clock::now() + work;
                    while (Clock::now() < until) {
                    }
                    ++turns_;
                    this_fiber::yield();
                }
            }));
        }
    }
    ~Busy() { stop(); }
    void stop() { done_ = true; }
    [[nodiscard]] bool is_stopped() const { return done_; }
    [[nodiscard]] long turns() const { return turns_; }

private:
    std::atomic<bool> done_{false};
    std::atomic<long> turns_{0};
    std::vector<test::JoinedFiber<void>> fibers_;
};

struct Load {
    const char* name;
    int fibers;
    bool pinned;
    Clock::duration work;
};

class FairnessUnder : public testing::TestWithParam<Load> {
protected:
    template <typename F>
    void run(F body) {
        Runtime runtime({.workers = 1});
        runtime.run([&] {
            const Load& load = GetParam();
            Busy busy(load.fibers, {.worker = 0, .pinned = load.pinned}, load.work);
            body(busy);
        });
    }
};

INSTANTIATE_TEST_SUITE_P(Load, FairnessUnder,
                         testing::Values(Load{"OneFiber", 1, false, 0us},
                                         Load{"TwoFibers", 2, false, 0us},
                                         Load{"ThreePinnedFibers", 3, true, 0us},
                                         Load{"HundredFibers", 100, false, 0us},
                                         Load{"HundredWorkingFibers", 100, false, 20us}),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(FairnessUnder, TimersFire) {
    run([](Busy&) {
        for (int round = 0; round != 5; ++round) {
            const auto begin = Clock::now();
            this_fiber::sleep_for(2ms);
            EXPECT_LT(Clock::now() - begin, 1s);
        }
    });
}

TEST_P(FairnessUnder, DeadlinesOfWaitsPass) {
    run([](Busy&) {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        const auto begin = Clock::now();
        EXPECT_EQ(source.wait_readable(Deadline::after(2ms)).error(), std::errc::timed_out);
        EXPECT_LT(Clock::now() - begin, 1s);
    });
}

TEST_P(FairnessUnder, ReadyDescriptorsAreServed) {
    run([](Busy&) {
        auto pipe = test::make_pipe();
        IoSource source(std::move(pipe.first));
        for (int round = 0; round != 5; ++round) {
            test::JoinedFiber writer = spawn([&] { test::put(pipe.second.get(), "x"); });
            ASSERT_TRUE(source.wait_readable(soon()));
            (void)test::get(source.fd());
        }
    });
}

TEST(Fairness, TheWorkerPollsAsOftenAsTheCoarseClockMovesHoweverLongTheTurnsAre) {
    // The poll that is due when the coarse clock has moved on (after 1 to 10 ms) was once forgotten again
    // on the way to the dispatcher, and came after 61 turns only.
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        const Busy busy(10, {}, 1ms);
        const long turns_before = busy.turns();
        const auto polls_before = runtime.stats().polls;
        while (busy.turns() < turns_before + 500) {
            this_fiber::sleep_for(20ms);
        }
        // A tick is ten turns at most; on a busy machine a turn may take twice its time.
        const auto turns = static_cast<std::uint64_t>(busy.turns() - turns_before);
        EXPECT_GE((runtime.stats().polls - polls_before) * 20, turns);
    });
}

TEST(Fairness, TheWorkerPollsWhenAllThatWereReadyHaveHadTheirTurn) {
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        constexpr int kFibers = 500;
        const Busy busy(kFibers, {});
        this_fiber::sleep_for(20ms);  // now all are in the queue at each poll
        const auto begin = Clock::now();
        const long turns_before = busy.turns();
        const auto polls_before = runtime.stats().polls;
        while (busy.turns() < turns_before + 100 * kFibers) {
            this_fiber::sleep_for(20ms);
        }
        const auto turns = static_cast<std::uint64_t>(busy.turns() - turns_before);
        const auto polls = runtime.stats().polls - polls_before;
        const auto ticks = static_cast<std::uint64_t>((Clock::now() - begin) / 1ms);
        EXPECT_GE(polls * 2 * kFibers, turns);
        EXPECT_LE(polls, turns / kFibers + ticks + 3);
    });
}

TEST(Fairness, WhatOtherThreadsMakeReadyComesInPortionsAsLargeAsWhatRunsBetweenPolls) {
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        constexpr int kFibers = 1000;
        constexpr int kGuests = 2000;
        Busy busy(kFibers, {});
        this_fiber::sleep_for(20ms);  // now all are in the queue at each poll
        std::atomic<int> ended{0};
        std::vector<test::JoinedFiber<void>> guests;
        std::thread([&] {  // the worker waits meanwhile
            for (int i = 0; i != kGuests; ++i) {
                guests.emplace_back(runtime.spawn({}, [&] { ++ended; }));
            }
        })
            .join();
        const long turns_before = busy.turns();
        while (ended != kGuests) {
            this_fiber::yield();
        }
        // Portions of 32 took 60 rounds.
        EXPECT_LT(busy.turns() - turns_before, 20 * kFibers);
    });
}

TEST_P(FairnessUnder, AYieldingFiberGetsItsTurn) {
    run([](Busy&) {
        const Deadline patience = soon();
        test::JoinedFiber handle = spawn([] {
            for (int i = 0; i != 10; ++i) {
                this_fiber::yield();
            }
        });
        while (!handle.is_done() && !patience.has_passed(Clock::now())) {
            this_fiber::sleep_for(1ms);
        }
        EXPECT_LT(Clock::now(), patience.time_point());
    });
}

TEST_P(FairnessUnder, APinnedFiberGetsItsTurn) {
    // Where two fibers yielded, a pinned one once got a turn per dispatcher's turn only, one of some ten
    // thousand: a yield counted two picks, and the turn of the pinned fibers was every second pick.
    run([](Busy& busy) {
        // All others must do nothing but yield meanwhile, this one too.
        std::atomic<long> turns{0};
        test::JoinedFiber handle = spawn({.worker = 0, .pinned = true}, [&] {
            while (!busy.is_stopped()) {
                ++turns;
                this_fiber::yield();
            }
        });
        const long before = busy.turns();
        this_fiber::sleep_for(300ms);
        const long of_a_busy_one = (busy.turns() - before) / GetParam().fibers;
        EXPECT_GT(turns, of_a_busy_one / 4);
        busy.stop();
    });
}

TEST_P(FairnessUnder, AFiberFromOutsideGetsItsTurn) {
    Runtime runtime({.workers = 1});
    std::atomic<bool> done{false};
    auto load = runtime.spawn([&] {
        const Busy busy(GetParam().fibers, {.worker = 0, .pinned = GetParam().pinned},
                        GetParam().work);
        while (!done) {
            this_fiber::sleep_for(1ms);
        }
    });
    const auto begin = Clock::now();
    for (int i = 0; i != 10; ++i) {
        EXPECT_EQ(runtime.run([i] { return i; }), i);
    }
    EXPECT_LT(Clock::now() - begin, 10s);
    done = true;
    load.join();
}

}  // namespace
}  // namespace coir
