#include "runtime/session_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "runtime/sanitized.hpp"

namespace coir::detail {
namespace {

constexpr std::uintptr_t kSlab = 64 * 1024;

bool is_mapped(std::uintptr_t address) {
    unsigned char state;
    return ::mincore(reinterpret_cast<void*>(address), 1, &state) == 0;
}

TEST(SessionMemory, IsAlignedAndNobodyElses) {
    for (const std::size_t bytes : {1U, 64U, 300U, 320U, 4096U, 5000U}) {
        SessionMemory memory;
        std::vector<std::byte*> cells;
        for (int i = 0; i != 1000; ++i) {
            cells.push_back(static_cast<std::byte*>(memory.take(bytes)));
            ASSERT_EQ(reinterpret_cast<std::uintptr_t>(cells.back()) % 64, 0U);
            std::memset(cells.back(), i % 256, bytes);
        }
        for (std::size_t i = 0; i != cells.size(); ++i) {
            ASSERT_TRUE(std::all_of(cells[i], cells[i] + bytes, [i](std::byte byte) {
                return byte == static_cast<std::byte>(i % 256);
            }));
        }
        for (std::byte* const cell : cells) {
            memory.give_back(cell, bytes);
        }
    }
}

TEST(SessionMemory, GoesBackToTheKernelButForOneSlabOfEachSize) {
    if (test::kAddressSanitizer || test::kThreadSanitizer) {
        GTEST_SKIP() << "there it is the allocator's, which the sanitizer looks after";
    }
    SessionMemory memory;
    std::mt19937 random(5);
    for (int round = 0; round != 3; ++round) {
        std::vector<void*> cells;
        std::set<std::uintptr_t> slabs;
        for (int i = 0; i != 5000; ++i) {
            cells.push_back(memory.take(320));
            slabs.insert(reinterpret_cast<std::uintptr_t>(cells.back()) / kSlab * kSlab);
        }
        EXPECT_GT(slabs.size(), 20U);
        std::shuffle(cells.begin(), cells.end(), random);
        for (void* const cell : cells) {
            memory.give_back(cell, 320);
        }
        EXPECT_EQ(std::count_if(slabs.begin(), slabs.end(), is_mapped), 1);
    }
}

TEST(SessionMemory, ThatIsTakenAgainAndAgainStaysWhereItIs) {
    SessionMemory memory;
    void* const kept = memory.take(320);
    void* const first = memory.take(320);
    memory.give_back(first, 320);
    if (!test::kAddressSanitizer && !test::kThreadSanitizer) {
        for (int i = 0; i != 1000; ++i) {
            void* const again = memory.take(320);
            EXPECT_EQ(again, first);
            memory.give_back(again, 320);
        }
    }
    memory.give_back(kept, 320);
}

}  // namespace
}  // namespace coir::detail
