#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "coir/runtime/parker.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/core.hpp"
#include "runtime/sanitized.hpp"
#include "runtime/stack_pool.hpp"
#include "support/patience.hpp"
#include "support/process_facts.hpp"

namespace coir {
namespace {

using test::holds_before;
using test::soon;

bool has_light_guards() {
    void* const page =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool has = ::madvise(page, 4096, 102 /* MADV_GUARD_INSTALL */) == 0;
    ::munmap(page, 4096);
    return has;
}

/// Fibers that are all alive at once, and wait, until they are let go.
class Crowd final {
public:
    Crowd(std::function<void(std::function<void()>)> spawn, std::size_t size)
        : gates_(std::make_unique<Parker[]>(size)), size_(size) {
        for (std::size_t i = 0; i != size; ++i) {
            spawn([this, i] {
                ++alive_;
                (void)gates_[i].park(Deadline::never());
                --alive_;
            });
            ++spawned_;
        }
    }
    [[nodiscard]] bool is_complete() {
        return holds_before(soon(), [&] { return alive_ == size_; });
    }
    [[nodiscard]] bool has_gone() {
        return holds_before(soon(), [&] { return alive_ == 0; });
    }
    void let_go() {
        for (std::size_t i = 0; i != spawned_; ++i) {
            gates_[i].unpark();
        }
    }

private:
    std::unique_ptr<Parker[]> gates_;
    std::size_t size_;
    std::size_t spawned_ = 0;
    std::atomic<std::size_t> alive_{0};
};

/// A burst: `fibers` of them come, are alive at once, and go. Returns what they took while they waited.
struct Taken {
    std::size_t resident;
    std::size_t page_tables;
};

Taken burst(Runtime& runtime, std::size_t fibers) {
    const std::size_t resident = test::resident_bytes();
    const std::size_t page_tables = test::page_table_bytes();
    Crowd crowd([&](std::function<void()> body) { runtime.spawn({}, std::move(body)).detach(); },
                fibers);
    EXPECT_TRUE(crowd.is_complete());
    const Taken taken{test::resident_bytes() - resident, test::page_table_bytes() - page_tables};
    // From a fiber: all of them come into the queue of one worker.
    runtime.run([&] { crowd.let_go(); });
    EXPECT_TRUE(crowd.has_gone());
    EXPECT_TRUE(holds_before(soon(), [&] { return runtime.stats().alive() == 0; }));
    return taken;
}

constexpr std::size_t unless_sanitized(std::size_t usual, std::size_t sanitized) {
    return test::kAddressSanitizer || test::kThreadSanitizer ? sanitized : usual;
}

TEST(StacksAtScale, TwoHundredThousandGuardedFibersWaitAtOnce) {
    // With two areas per guard the kernel's 65,530 would end this at 32,000.
    constexpr std::size_t kFibers = unless_sanitized(200'000, 2'000);
    if (!has_light_guards()) {
        GTEST_SKIP() << "this kernel has no MADV_GUARD_INSTALL (Linux 6.13)";
    }
    if (test::available_memory() < kFibers * 16 * 1024) {
        GTEST_SKIP() << "less than 16 KiB of memory per fiber";
    }
    Runtime runtime({.workers = 2});
    (void)burst(runtime, 100);
    const Taken taken = burst(runtime, kFibers);
    std::cout << taken.resident / kFibers << " bytes of memory and " << taken.page_tables / kFibers
              << " of page tables per fiber that waits\n";
    if constexpr (kFibers == 200'000) {
        // The page on which its frames lie, a Parker, the handle's state, and this body.
        EXPECT_LT(taken.resident / kFibers, 5'000U);
        EXPECT_LT(taken.page_tables / kFibers, 600U);
    }
}

TEST(StacksAtScale, MemoryFallsBackAfterAHundredThousandFibersHaveComeAndGone) {
    if (test::kAddressSanitizer || test::kThreadSanitizer) {
        GTEST_SKIP() << "sanitizers keep memory that was freed";
    }
    if (!has_light_guards()) {
        GTEST_SKIP() << "this kernel has no MADV_GUARD_INSTALL (Linux 6.13)";
    }
    // Of the stacks that are kept warm on purpose a worker may have all or half: 512 of them, of 4 KiB,
    // would hide what is looked for here.
    Runtime runtime({.workers = 2, .warm_stacks_per_worker = 32});
    (void)burst(runtime, 4'000);
    ::malloc_trim(0);
    const std::size_t resident = test::resident_bytes();
    const std::size_t page_tables = test::page_table_bytes();
    for (int round = 0; round != 3; ++round) {
        (void)burst(runtime, 100'000);
        // What the allocator keeps of the handles' states is its own affair.
        ::malloc_trim(0);
        const auto close_to = [](std::size_t now, std::size_t before) {
            return now < before + before / 10;
        };
        EXPECT_TRUE(
            holds_before(soon(), [&] { return close_to(test::resident_bytes(), resident); }))
            << test::resident_bytes() << " bytes are resident, " << resident << " were before";
        // Fails if slabs without any stack in use are kept.
        EXPECT_LT(test::page_table_bytes(), page_tables + 2'000'000);
    }
    std::cout << "before " << resident << ", after " << test::resident_bytes()
              << "; page tables before " << page_tables << ", after " << test::page_table_bytes()
              << "\n";
}

class MprotectGuards : public testing::Test {
protected:
    void SetUp() override {
        if (test::kThreadSanitizer) {
            GTEST_SKIP() << "ThreadSanitizer needs mappings itself, and ends where there are none";
        }
        if (test::most_mappings() > 300'000) {
            GTEST_SKIP() << "vm.max_map_count is " << test::most_mappings()
                         << ": too many to reach it";
        }
    }
};

TEST_F(MprotectGuards, TheLimitOfMappingsIsAnErrorAndStacksComeBackAfterIt) {
    detail::StackSlabs slabs(16 * 1024, 0, detail::StackGuards::mprotect);
    std::vector<detail::StackRegion> stacks;
    std::error_code error;
    for (int round = 0; round != 2; ++round) {
        while (const detail::StackRegion stack = slabs.take(error)) {
            stacks.push_back(stack);
        }
        EXPECT_EQ(error, std::errc::not_enough_memory);
        EXPECT_GT(stacks.size(), test::most_mappings() / 2 - 4'000);
        // A few areas are left for what else the process does.
        EXPECT_LT(test::mappings(), test::most_mappings());
        slabs.give_back(stacks.data(), stacks.size());
        stacks.clear();
    }
    EXPECT_TRUE(slabs.take(error));
}

TEST_F(MprotectGuards, ARuntimeSaysWhyItCannotSpawnAndGoesOnWhenFibersEnd) {
    detail::RuntimeCore core({.workers = 2, .stack_bytes = 16 * 1024},
                             detail::StackGuards::mprotect);
    const auto spawn = [&](auto body) {
        return detail::spawn_on(&core, {}, body, std::source_location::current());
    };
    for (int round = 0; round != 2; ++round) {
        constexpr std::size_t kMost = 200'000;
        std::unique_ptr<Parker[]> gates(new Parker[kMost]);
        std::vector<FiberHandle<void>> fibers;
        fibers.reserve(kMost);
        try {
            while (fibers.size() != kMost) {
                fibers.push_back(
                    spawn([&gate = gates[fibers.size()]] { (void)gate.park(Deadline::never()); }));
            }
            ADD_FAILURE() << "there was no limit";
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::not_enough_memory);
            EXPECT_NE(std::string(error.what()).find("vm.max_map_count"), std::string::npos)
                << error.what();
        }
        EXPECT_GT(fibers.size(), test::most_mappings() / 2 - 4'000);
        // A runtime at its limit still runs what it has.
        for (std::size_t i = 0; i != fibers.size(); ++i) {
            gates[i].unpark();
        }
        for (auto& fiber : fibers) {
            fiber.join();
        }
        EXPECT_EQ(spawn([] { return 42; }).join(), 42);
    }
    core.stop();
}

}  // namespace
}  // namespace coir
