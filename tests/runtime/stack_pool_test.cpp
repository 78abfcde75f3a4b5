#include "runtime/stack_pool.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <set>
#include <vector>

#include "coir/runtime/runtime.hpp"

namespace coir::detail {
namespace {

StackRegion take_from(StackSlabs& slabs) {
    std::error_code error;
    const StackRegion region = slabs.take(error);
    EXPECT_TRUE(region) << error.message();
    return region;
}

void fill(const StackRegion& region, int value) {
    std::memset(region.bottom(), value, region.usable_bytes);
}

/// A sanitizer catches the signal, reports it and exits.
bool died_by_segv(int status) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        return true;
    }
#endif
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

TEST(StackSlabs, GiveWholePagesThatCanBeUsedToTheLastByte) {
    StackSlabs slabs(10'000);
    EXPECT_EQ(slabs.usable_bytes(), 12'288U);
    const StackRegion region = take_from(slabs);
    EXPECT_EQ(region.usable_bytes, 12'288U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.top) % 4096, 0U);
    fill(region, 1);
    slabs.give_back(&region, 1);
}

TEST(StackSlabs, GiveTheSameStackAgain) {
    StackSlabs slabs(16 * 1024);
    const StackRegion first = take_from(slabs);
    slabs.give_back(&first, 1);
    EXPECT_EQ(take_from(slabs).top, first.top);
}

TEST(StackSlabs, StacksThatAreGivenBackReadAsZerosSinceTheirPagesWereFreed) {
    StackSlabs slabs(16 * 1024);
    const StackRegion first = take_from(slabs);
    fill(first, 0x55);
    slabs.give_back(&first, 1);
    const StackRegion second = take_from(slabs);
    ASSERT_EQ(second.top, first.top);
    EXPECT_EQ(*second.bottom(), std::byte{0});
    EXPECT_EQ(*(second.top - 1), std::byte{0});
}

TEST(StackSlabs, TwoThousandStacksAtOnceDoNotOverlap) {
    constexpr std::size_t kStacks = 2000;
    StackSlabs slabs(16 * 1024);
    std::vector<StackRegion> regions;
    std::set<std::byte*> bottoms;
    for (std::size_t i = 0; i != kStacks; ++i) {
        regions.push_back(take_from(slabs));
        bottoms.insert(regions.back().bottom());
        *regions.back().bottom() = std::byte{1};
        *(regions.back().top - 1) = std::byte{2};
    }
    ASSERT_EQ(bottoms.size(), kStacks);
    const std::byte* end = nullptr;
    for (const std::byte* bottom : bottoms) {
        EXPECT_GE(bottom, end + 4096) << "a guard page lies below each";
        end = bottom + 16 * 1024;
    }
    slabs.give_back(regions.data(), regions.size());
    std::set<std::byte*> again;
    for (std::size_t i = 0; i != kStacks; ++i) {
        again.insert(take_from(slabs).bottom());
    }
    EXPECT_EQ(again, bottoms) << "no new slab where the old stacks are free";
}

TEST(StackSlabs, SayWhyWhenTheKernelGivesNoMore) {
    StackSlabs slabs(std::size_t{1} << 46);
    std::error_code error;
    EXPECT_FALSE(slabs.take(error));
    EXPECT_EQ(error, std::errc::not_enough_memory);
}

TEST(StackSlabsDeathTest, AWriteBelowTheBottomEndsTheProgram) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    StackSlabs slabs(16 * 1024);
    // Of a later stack in the slab, so that its guard lies between two stacks in use.
    const StackRegion below = take_from(slabs);
    const StackRegion region = take_from(slabs);
    ASSERT_EQ(region.bottom(), below.top + 4096);
    EXPECT_EXIT(*static_cast<volatile std::byte*>(region.bottom() - 1) = std::byte{1}, died_by_segv,
                "");
    EXPECT_EXIT(*static_cast<volatile std::byte*>(below.top) = std::byte{1}, died_by_segv, "");
    EXPECT_EXIT(*static_cast<volatile std::byte*>(below.bottom() - 4096) = std::byte{1},
                died_by_segv, "");
}

TEST(StackSlabsDeathTest, TheGuardIsStillThereAfterTheStackWasGivenBack) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    StackSlabs slabs(16 * 1024);
    const StackRegion first = take_from(slabs);
    slabs.give_back(&first, 1);
    const StackRegion region = take_from(slabs);
    EXPECT_EXIT(*static_cast<volatile std::byte*>(region.bottom() - 1) = std::byte{1}, died_by_segv,
                "");
}

TEST(StackSlabsDeathTest, NeighboursGivenBackTogetherLoseTheirPagesAndKeepTheirGuards) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    for (const StackGuards guards : {StackGuards::lightest, StackGuards::mprotect}) {
        StackSlabs slabs(16 * 1024, 0, guards);
        std::vector<StackRegion> regions;
        for (int i = 0; i != 5; ++i) {
            regions.push_back(take_from(slabs));
            fill(regions.back(), 0x55);
        }
        ASSERT_EQ(regions[1].bottom(), regions[0].top + slabs.guard_bytes());
        // Two neighbours, and one apart: what lies between them is in use.
        const StackRegion back[] = {regions[0], regions[1], regions[3]};
        slabs.give_back(back, std::size(back));
        EXPECT_EQ(*regions[2].bottom(), std::byte{0x55});
        EXPECT_EQ(*(regions[2].top - 1), std::byte{0x55});
        EXPECT_EQ(*regions[4].bottom(), std::byte{0x55});
        for (const StackRegion& given : back) {
            const StackRegion region = take_from(slabs);
            ASSERT_EQ(region.top, given.top);
            EXPECT_EQ(*region.bottom(), std::byte{0});
            EXPECT_EQ(*(region.top - 1), std::byte{0});
            EXPECT_EXIT(*static_cast<volatile std::byte*>(region.bottom() - 1) = std::byte{1},
                        died_by_segv, "");
        }
    }
}

TEST(StackSlabsDeathTest, AFiberThatRecursesWithoutEndDies) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    struct Recursion {
        [[gnu::noinline]] static int depth(int level) {
            volatile char frame[512];
            frame[0] = static_cast<char>(level);
            return level < 0 ? 0 : depth(level + 1) + frame[0];
        }
    };
    EXPECT_EXIT(Runtime({.workers = 1}).run([] { return Recursion::depth(0); }), died_by_segv, "");
}

TEST(StackCache, GivesTheWarmestStackFirst) {
    StackSlabs slabs(16 * 1024);
    StackCache cache(slabs, 4);
    std::error_code error;
    const StackRegion first = cache.take(error);
    const StackRegion second = cache.take(error);
    *first.bottom() = std::byte{1};
    *second.bottom() = std::byte{2};
    cache.give_back(first);
    cache.give_back(second);
    EXPECT_EQ(*cache.take(error).bottom(), std::byte{2});
    EXPECT_EQ(*cache.take(error).bottom(), std::byte{1}) << "warm stacks keep their pages";
}

TEST(StackCache, GivesTheColdHalfBackAboveItsLimit) {
    StackSlabs slabs(16 * 1024);
    StackCache cache(slabs, 4);
    std::error_code error;
    std::vector<StackRegion> regions;
    for (int i = 0; i != 5; ++i) {
        regions.push_back(cache.take(error));
        *regions.back().bottom() = std::byte{7};
    }
    for (const StackRegion& region : regions) {
        cache.give_back(region);
    }
    int warm = 0;
    for (int i = 0; i != 5; ++i) {
        warm += *cache.take(error).bottom() == std::byte{7};
    }
    EXPECT_EQ(warm, 3);
}

TEST(StackCache, WithoutRoomGivesEverythingBack) {
    StackSlabs slabs(16 * 1024);
    StackCache cache(slabs, 0);
    std::error_code error;
    for (int i = 0; i != 3; ++i) {
        const StackRegion region = cache.take(error);
        EXPECT_EQ(*region.bottom(), std::byte{0});
        *region.bottom() = std::byte{1};
        cache.give_back(region);
    }
}

/// So many warm stacks, the bottom byte of each marked; `cache` has room for them.
void warm_up(StackCache& cache, std::size_t count) {
    std::vector<StackRegion> regions;
    for (std::size_t i = 0; i != count; ++i) {
        std::error_code error;
        regions.push_back(cache.take(error));
        *regions.back().bottom() = std::byte{7};
    }
    for (const StackRegion& region : regions) {
        cache.give_back(region);
    }
}
/// How many of `most` stacks are warm; takes them.
std::size_t take_warm(StackCache& cache, std::size_t most) {
    std::size_t warm = 0;
    for (std::size_t i = 0; i != most; ++i) {
        std::error_code error;
        warm += *cache.take(error).bottom() == std::byte{7} ? 1U : 0U;
    }
    return warm;
}

constexpr StackCache::Clock::time_point kStart{std::chrono::hours(1)};
constexpr auto kNever = StackCache::Clock::time_point::max();
constexpr std::size_t kKept = StackCache::kKeptStacks;

TEST(StackCache, TrimmedTwiceGivesUpAllButAFew) {
    StackSlabs slabs(16 * 1024);
    StackCache cache(slabs, 32);
    EXPECT_EQ(cache.next_trim(), kNever);
    warm_up(cache, 20);
    cache.trim(kStart);  // they may have been needed until now
    EXPECT_EQ(cache.next_trim(), kStart + StackCache::kTrimInterval);
    cache.trim(kStart + StackCache::kTrimInterval);
    EXPECT_EQ(cache.next_trim(), kNever);
    EXPECT_EQ(take_warm(cache, 20), kKept);
}

TEST(StackCache, TrimsManyInTurns) {
    constexpr std::size_t kMany = 2 * StackCache::kTrimmedAtOnce + kKept + 1;
    const auto again = kStart + StackCache::kTrimInterval;
    StackSlabs slabs(16 * 1024);
    StackCache cache(slabs, kMany);
    warm_up(cache, kMany);
    cache.trim(kStart);
    for (int turn = 0; turn != 2; ++turn) {
        cache.trim(again);
        EXPECT_LE(cache.next_trim(), again) << "not done yet";
    }
    cache.trim(again);
    EXPECT_EQ(cache.next_trim(), kNever);
    EXPECT_EQ(take_warm(cache, kMany), kKept);
}

TEST(StackCache, KeepsWhatHasBeenNeededSinceTheLastTrim) {
    StackSlabs slabs(16 * 1024);
    StackCache cache(slabs, 32);
    warm_up(cache, 20);
    cache.trim(kStart);
    warm_up(cache, kKept + 2);
    cache.trim(kStart + StackCache::kTrimInterval);
    EXPECT_EQ(cache.next_trim(), kStart + 2 * StackCache::kTrimInterval);
    EXPECT_EQ(take_warm(cache, 20), kKept + 2);
}

TEST(StackCache, IsNotTrimmedBeforeTheTime) {
    StackSlabs slabs(16 * 1024);
    StackCache cache(slabs, 32);
    warm_up(cache, 20);
    cache.trim(kStart);
    cache.trim(kStart + StackCache::kTrimInterval - std::chrono::nanoseconds(1));
    EXPECT_EQ(take_warm(cache, 20), 20U);
}

TEST(StackCache, TrimsNothingThatHasComeSinceItGaveItsColdHalfBack) {
    StackSlabs slabs(16 * 1024);
    StackCache cache(slabs, 16);
    warm_up(cache, 12);
    cache.trim(kStart);  // 12 lie here from now on
    std::error_code error;
    std::vector<StackRegion> regions;
    for (int i = 0; i != 5; ++i) {
        regions.push_back(slabs.take(error));
        *regions.back().bottom() = std::byte{7};
    }
    for (const StackRegion& region : regions) {
        cache.give_back(region);  // one too many: 8 of those go, 4 and the 5 stay
    }
    cache.trim(kStart + StackCache::kTrimInterval);
    EXPECT_EQ(take_warm(cache, 20), 5U);
}

}  // namespace
}  // namespace coir::detail
