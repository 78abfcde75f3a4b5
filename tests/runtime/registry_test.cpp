#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/mutex.hpp"
#include "runtime/descriptors.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::holds_before;
using test::soon;

/// The fiber with this name, or one with the id 0.
FiberInfo named(const Runtime& runtime, std::string_view name) {
    for (const FiberInfo& info : runtime.fibers()) {
        if (info.name == name) {
            return info;
        }
    }
    return {};
}

TEST(Registry, NamesEveryFiberWithWhatItWaitsForAndWhereItWasSpawned) {
    Runtime runtime({.workers = 2});
    IoSource source(test::make_eventfd());
    Mutex mutex;
    mutex.lock();
    const auto line = std::source_location::current().line() + 1;
    auto reader = runtime.spawn({.name = "reader"}, [&] { (void)source.wait_readable(soon()); });
    auto locker = runtime.spawn({.name = "locker", .stack_bytes = 32 * 1024},
                                [&] { const std::lock_guard lock(mutex); });
    ASSERT_TRUE(holds_before(soon(), [&] {
        return named(runtime, "reader").state == FiberInfo::State::waiting &&
               named(runtime, "locker").state == FiberInfo::State::waiting;
    }));
    const FiberInfo reading = named(runtime, "reader");
    EXPECT_NE(reading.id, 0U);
    EXPECT_EQ(reading.fd, source.fd());
    EXPECT_STREQ(reading.waits_for, "bytes to read");
    EXPECT_EQ(reading.site.line(), line);
    EXPECT_NE(std::string(reading.site.file_name()).find("registry_test.cpp"), std::string::npos);
    EXPECT_FALSE(reading.stop_requested);
    const FiberInfo locking = named(runtime, "locker");
    EXPECT_STREQ(locking.waits_for, "a mutex");
    EXPECT_EQ(locking.stack_bytes, 32U * 1024);
    EXPECT_EQ(runtime.fibers().size(), 2U);
    EXPECT_EQ(runtime.stats().waiting, 2U);
    mutex.unlock();
    test::signal(source.fd());
    reader.join();
    locker.join();
    EXPECT_TRUE(holds_before(soon(), [&] { return runtime.fibers().empty(); }));
    EXPECT_TRUE(holds_before(soon(), [&] { return runtime.stats().waiting == 0; }));
}

TEST(Registry, SaysWhoRuns) {
    Runtime runtime({.workers = 2});
    std::atomic<bool> enough{false};
    auto busy = runtime.spawn({.name = "busy", .worker = 1, .pinned = true}, [&] {
        while (!enough) {
        }
    });
    EXPECT_TRUE(holds_before(
        soon(), [&] { return named(runtime, "busy").state == FiberInfo::State::running; }));
    EXPECT_EQ(named(runtime, "busy").worker, 1);
    enough = true;
    busy.join();
}

TEST(Registry, CanBeReadWhileFibersComeAndGo) {
    Runtime runtime({.workers = 2});
    std::atomic<bool> enough{false};
    auto churn = runtime.spawn([&] {
        while (!enough) {
            std::vector<FiberHandle<void>> fibers;
            for (int i = 0; i != 50; ++i) {
                fibers.push_back(spawn({.name = "short"}, [] { this_fiber::yield(); }));
            }
            for (auto& fiber : fibers) {
                fiber.join();
            }
        }
    });
    for (int i = 0; i != 300; ++i) {
        for (const FiberInfo& info : runtime.fibers()) {
            EXPECT_TRUE(info.name.empty() || info.name == "short");
            EXPECT_FALSE(to_string(info).empty());
        }
    }
    enough = true;
    churn.join();
}

TEST(FiberInfo, IsToldInOneLine) {
    FiberInfo info;
    info.id = 17;
    info.name = "http";
    info.state = FiberInfo::State::waiting;
    info.waits_for = "bytes to read";
    info.fd = 9;
    info.stop_requested = true;
    const std::string text = to_string(info);
    EXPECT_EQ(
        text.find(
            "fiber 17 \"http\" waits for bytes to read on descriptor 9, though asked to stop; "
            "spawned at "),
        0U)
        << text;
}

TEST(RuntimeStop, WithADeadlineWaitsForWhatEnds) {
    Runtime runtime({.workers = 2});
    std::atomic<bool> ended{false};
    auto fiber = runtime.spawn([&] {
        EXPECT_FALSE(this_fiber::sleep_for(5ms));
        ended = true;
    });
    EXPECT_TRUE(runtime.stop(soon(), test::kPatience).empty());
    EXPECT_TRUE(ended);
    fiber.join();
}

TEST(RuntimeStop, CancelsWhatDoesNotEndByItsDeadline) {
    Runtime runtime({.workers = 2});
    std::atomic<int> canceled{0};
    for (int i = 0; i != 100; ++i) {
        runtime
            .spawn([&] {
                canceled += this_fiber::sleep_for(1h) == std::errc::operation_canceled ? 1 : 0;
            })
            .detach();
    }
    EXPECT_TRUE(runtime.stop(Deadline::after(2ms), test::kPatience).empty());
    EXPECT_EQ(canceled, 100);
}

TEST(RuntimeStop, AlsoCancelsWhatIsSpawnedAfterItsDeadline) {
    // Such a fiber was once asked by nobody, and reported as one that does not end.
    Runtime runtime({.workers = 2});
    std::atomic<bool> shielded_one_was_asked{true};
    runtime
        .spawn([&] {
            while (!this_fiber::stop_requested()) {
                this_fiber::yield();
            }
            spawn_detached({}, [] { (void)this_fiber::sleep_for(1h); });
            const this_fiber::Shield shield;
            spawn([&] { shielded_one_was_asked = this_fiber::stop_requested(); }).join();
        })
        .detach();
    EXPECT_TRUE(runtime.stop(Deadline::after(1ms), test::kPatience).empty());
    EXPECT_FALSE(shielded_one_was_asked);
}

/// Spawns itself again, now on a stack of this size, now of that: they lie in different slabs.
void hop(std::atomic<bool>& enough, bool on_small_stack) {
    if (!enough) {
        const std::size_t stack_bytes = on_small_stack ? 64 * 1024 : 0;
        spawn_detached({.name = "hopper", .stack_bytes = stack_bytes},
                       [&enough, on_small_stack] { hop(enough, !on_small_stack); });
    }
}

TEST(RuntimeStop, ReturnsThoughFibersReplaceThemselvesForEver) {
    // It may see none of them, because each begins behind its back, and must not take that for the end.
    for (int round = 0; round != 30; ++round) {
        Runtime runtime({.workers = 2});
        std::atomic<bool> enough{false};
        runtime.spawn([&] { hop(enough, true); }).join();
        EXPECT_FALSE(runtime.stop(Deadline::at(Deadline::Clock::now()), 0ms).empty());
        enough = true;
        EXPECT_TRUE(runtime.stop(soon(), test::kPatience).empty());
    }
}

TEST(RuntimeStop, NamesTheFibersThatDoNotEndAndCanBeCalledAgain) {
    Runtime runtime({.workers = 2});
    Parker parker;
    Mutex mutex;
    mutex.lock();
    runtime.spawn({.name = "deaf"}, [&] { (void)parker.park(soon(), StopRequests::ignored); })
        .detach();
    runtime.spawn({.name = "locked out"}, [&] { const std::lock_guard lock(mutex); }).detach();
    runtime.spawn({.name = "polite"}, [&] { (void)this_fiber::sleep_for(1h); }).detach();
    auto left = runtime.stop(Deadline::after(2ms), 50ms);
    std::ranges::sort(left, {}, &FiberInfo::name);
    ASSERT_EQ(left.size(), 2U);
    EXPECT_EQ(left[0].name, "deaf");
    EXPECT_STREQ(left[0].waits_for, "a Parker");
    EXPECT_EQ(left[1].name, "locked out");
    EXPECT_STREQ(left[1].waits_for, "a mutex");
    EXPECT_TRUE(left[0].stop_requested);
    EXPECT_NE(std::string(left[0].site.file_name()).find("registry_test.cpp"), std::string::npos);
    EXPECT_THROW((void)runtime.spawn([] {}), std::system_error);
    parker.unpark();
    mutex.unlock();
    EXPECT_TRUE(runtime.stop(soon(), test::kPatience).empty());
}

TEST(RuntimeStats, KnowTheLongestRun) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        this_fiber::sleep_for(20ms);  // for two clocks to be compared
        const auto end = Deadline::after(8ms);
        while (!end.has_passed(Deadline::Clock::now())) {
        }
    });
    runtime.stop();  // a run counts when it has ended, which is after the join
    EXPECT_GE(runtime.stats().longest_run, 7ms);
    EXPECT_LT(runtime.stats().longest_run, test::kPatience);
}

TEST(RuntimeStats, TakeLongRunsInARowForSeveral) {
    using Clock = Deadline::Clock;
    constexpr auto kCoarseTick = 10ms;  // at most
    Clock::duration longest{0};
    Clock::duration sum{0};
    const auto began = Clock::now();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        std::vector<FiberHandle<void>> busy;
        for (int i = 0; i != 5; ++i) {
            busy.push_back(spawn([&] {
                const auto start = Clock::now();
                while (Clock::now() < start + 40ms) {
                }
                const auto run = Clock::now() - start;  // it may have been preempted
                longest = std::max(longest, run);
                sum += run;
            }));
        }
        for (auto& fiber : busy) {
            fiber.join();
        }
    });
    runtime.stop();
    // Between the runs as well.
    const auto elsewhere = Clock::now() - began - sum;
    EXPECT_GE(runtime.stats().longest_run, 39ms);
    EXPECT_LE(runtime.stats().longest_run, longest + kCoarseTick + elsewhere);
}

TEST(RuntimeStats, KnowWhatWaitsAndWhatIsReady) {
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        auto sleeper = spawn([] { this_fiber::sleep_for(1h); });
        this_fiber::yield();
        std::vector<FiberHandle<void>> ready;
        for (int i = 0; i != 5; ++i) {
            ready.push_back(spawn([] {}));
        }
        const RuntimeStats stats = runtime.stats();
        EXPECT_EQ(stats.waiting, 1U);
        EXPECT_EQ(stats.ready, 5U);
        EXPECT_EQ(stats.alive(), 7U);
        EXPECT_GE(stats.stack_bytes, 7U * 128 * 1024);
    });
}

}  // namespace
}  // namespace coir
