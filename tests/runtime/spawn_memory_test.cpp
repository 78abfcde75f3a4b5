#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <system_error>

#include "coir/base/opaque.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/session.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/patience.hpp"

namespace {

// How many more pieces of memory this thread gets; below zero: as many as it wants.
thread_local int pieces_left = -1;

COIR_OPAQUE void limit_pieces(int pieces) noexcept {
    pieces_left = pieces;
}

}  // namespace

COIR_OPAQUE void* operator new(std::size_t size) {
    if (pieces_left >= 0 && pieces_left-- == 0) {
        pieces_left = 0;
        throw std::bad_alloc();
    }
    if (void* const memory = std::malloc(size)) {
        return memory;
    }
    throw std::bad_alloc();
}
COIR_OPAQUE void operator delete(void* memory) noexcept {
    std::free(memory);
}
COIR_OPAQUE void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace coir {
namespace {

constexpr std::size_t kOddStack = 40 * 1024;  // for which slabs have to be made first

/// Starts a fiber with less and less missing, until that works; looks at the runtime in between.
template <typename Spawn>
void expect_all_or_nothing(const Runtime& runtime, Spawn spawn_one) {
    const std::uint64_t before = runtime.stats().spawned;
    for (int pieces = 0;; ++pieces) {
        ASSERT_LT(pieces, 20);
        limit_pieces(pieces);  // nothing suspends in a spawn
        try {
            auto fiber = spawn_one();
            limit_pieces(-1);
            fiber.join();
            EXPECT_GT(pieces, 1);
            EXPECT_EQ(runtime.stats().spawned, before + 1);
            return;
        } catch (const std::bad_alloc&) {
            limit_pieces(-1);
        } catch (const std::system_error& error) {
            limit_pieces(-1);
            EXPECT_EQ(error.code(), std::errc::not_enough_memory);
        }
        EXPECT_EQ(runtime.stats().spawned, before);
        (void)runtime.fibers();
    }
}

// Slabs of a new size were entered before they were there: without memory for them, the next look at all
// stacks followed a null pointer.
TEST(SpawnWithoutMemory, ByAFiberLeavesNothingBehind) {
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        expect_all_or_nothing(runtime, [] { return spawn({.stack_bytes = kOddStack}, [] {}); });
    });
    runtime.stop();
}

TEST(SpawnWithoutMemory, FromOutsideLeavesNothingBehind) {
    Runtime runtime({.workers = 1});
    expect_all_or_nothing(runtime,
                          [&] { return runtime.spawn({.stack_bytes = kOddStack}, [] {}); });
    runtime.stop();
}

/// A session of one turn.
struct OneTurn {
    std::atomic<int>& turns;
    NextTurn turn(Result<void>) noexcept {
        ++turns;
        return NextTurn::none();
    }
};

TEST(StartWithoutMemory, LeavesNothingBehind) {
    Runtime runtime({.workers = 1});
    std::atomic<int> turns{0};
    runtime.run([&] {
        for (int pieces = 0; turns == 0; ++pieces) {
            ASSERT_LT(pieces, 20);
            limit_pieces(pieces);
            try {
                start_session<OneTurn>({.stack_bytes = kOddStack}, turns);
                limit_pieces(-1);
                this_fiber::yield();
            } catch (const std::bad_alloc&) {
                limit_pieces(-1);
            } catch (const std::system_error& error) {
                limit_pieces(-1);
                EXPECT_EQ(error.code(), std::errc::not_enough_memory);
            }
        }
    });
    runtime.stop();
    EXPECT_EQ(turns, 1);
}

TEST(StartWithoutMemory, ATurnWaitsUntilThereIsAStackForIt) {
    Runtime runtime({.workers = 1});
    std::atomic<int> turns{0};
    runtime.run([&] {
        start_session<OneTurn>({}, turns);
        this_fiber::yield();
        EXPECT_EQ(turns, 1);  // and its carrier rests, so the next start makes none
        start_session<OneTurn>({.stack_bytes = kOddStack}, turns);
        limit_pieces(0);
        this_fiber::yield();
        limit_pieces(-1);
        EXPECT_EQ(turns, 1);
        EXPECT_EQ(runtime.stats().alive(), 2U);
    });
    EXPECT_TRUE(test::holds_before(test::soon(), [&] { return turns == 2; }));
    runtime.stop();
}

// The exception met a noexcept on its way, and ended the program.
TEST(Runtime, FibersWithoutMemoryThrowsAndLocksNothing) {
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        limit_pieces(0);
        EXPECT_THROW((void)runtime.fibers(), std::bad_alloc);
        limit_pieces(-1);
        EXPECT_EQ(runtime.fibers().size(), 1U);
    });
}

}  // namespace
}  // namespace coir
