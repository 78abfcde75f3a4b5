#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <ostream>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/select.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/channel.hpp"
#include "runtime/descriptors.hpp"
#include "support/forced_migration.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

/// Waits that always suspend.
struct Way {
    const char* name;
    void (*wait)();
};

void PrintTo(const Way& way, std::ostream* out) {
    *out << way.name;
}

void by_timeout_of_io() {
    IoSource source(test::make_eventfd());
    EXPECT_EQ(source.wait_readable(Deadline::after(1ms)).error(), std::errc::timed_out);
}

void by_timeout_of_parker() {
    Parker parker;
    EXPECT_EQ(parker.park(Deadline::after(1ms)).error(), std::errc::timed_out);
}

void by_select() {
    IoSource source(test::make_eventfd());
    EXPECT_EQ(select_until(Deadline::after(1ms), on_readable(source)).error(),
              std::errc::timed_out);
}

class ForcedMigration : public testing::TestWithParam<Way> {};

INSTANTIATE_TEST_SUITE_P(By, ForcedMigration,
                         testing::Values(Way{"Yield", [] { this_fiber::yield(); }},
                                         Way{"Sleep", [] { this_fiber::sleep_for(100us); }},
                                         Way{"TimeoutOfIo", by_timeout_of_io},
                                         Way{"TimeoutOfParker", by_timeout_of_parker},
                                         Way{"Select", by_select}),
                         [](const auto& way) { return way.param.name; });

TEST_P(ForcedMigration, ResumesAFiberOnAnotherWorkerEachTime) {
    constexpr int kFibers = 8;
    constexpr int kTurns = 50;
    for (const std::size_t workers : {2U, 3U}) {
        std::atomic<int> stayed{0};
        Runtime runtime({.workers = workers, .force_migration = true});
        runtime.run([&] {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int i = 0; i != kFibers; ++i) {
                fibers.push_back(spawn([&] {
                    for (int turn = 0; turn != kTurns; ++turn) {
                        const int before = this_worker::index();
                        GetParam().wait();
                        stayed += this_worker::index() == before ? 1 : 0;
                    }
                }));
            }
        });
        runtime.stop();
        // A worker that the kernel has preempted for milliseconds looks like one that hangs.
        EXPECT_LE(stayed, kFibers * kTurns / 10);
    }
}

TEST(ForcedMigrationOf, PinnedFibersAndSingleWorkersDoesNothing) {
    for (const std::size_t workers : {1U, 2U}) {
        Runtime runtime({.workers = workers, .force_migration = true});
        runtime
            .spawn({.worker = 0, .pinned = true},
                   [] {
                       for (int turn = 0; turn != 100; ++turn) {
                           this_fiber::yield();
                           EXPECT_EQ(this_worker::index(), 0);
                       }
                   })
            .join();
    }
}

TEST(ForcedMigrationOf, WorkersThatDoNotStealHappensAsWell) {
    Runtime runtime({.workers = 2, .steal = false, .force_migration = true});
    runtime.run([] {
        for (int turn = 0; turn != 100; ++turn) {
            const int before = this_worker::index();
            this_fiber::sleep_for(10us);
            EXPECT_NE(this_worker::index(), before);
        }
    });
}

TEST(ForcedMigrationOf, ARuntimeIsAskedForByTheEnvironment) {
    const bool was_forced = test::migration_is_forced();
    ASSERT_EQ(::setenv("COIR_FORCE_MIGRATION", "1", 1), 0);
    Runtime runtime({.workers = 2});
    ASSERT_EQ(::setenv("COIR_FORCE_MIGRATION", was_forced ? "1" : "0", 1), 0);
    runtime.run([] {
        const int before = this_worker::index();
        this_fiber::yield();
        EXPECT_NE(this_worker::index(), before);
    });
}

// It would wait for ever where it has been sent.
TEST(ForcedMigrationOf, AFiberWhoseNextWorkerHangsStays) {
    Runtime runtime({.workers = 2, .force_migration = true});
    std::atomic<bool> enough{false};
    std::atomic<bool> runs{false};
    auto busy = runtime.spawn({.worker = 1, .pinned = true}, [&] {
        runs = true;
        while (!enough) {
        }
    });
    ASSERT_TRUE(test::holds_before(soon(), [&] { return runs.load(); }));
    runtime
        .spawn({.worker = 0},
               [] {
                   for (int turn = 0; turn != 10; ++turn) {
                       this_fiber::yield();
                   }
               })
        .join();
    enough = true;
    busy.join();
}

}  // namespace
}  // namespace coir
