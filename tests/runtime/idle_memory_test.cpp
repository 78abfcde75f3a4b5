#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/stack_pool.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// A worker with nothing to do gives up the stacks that a burst has left warm, and then sleeps.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

constexpr std::size_t kStacks = 100;
constexpr std::size_t kDepth = 64 * 1024;  // to which a burst uses each

/// As a function with large frames would. (Where a sanitizer keeps frames elsewhere, that would use no stack.)
/// Returns a byte from halfway down.
[[gnu::noinline, gnu::no_sanitize_address]] std::byte* use_stack() {
    auto* const frame = static_cast<std::byte*>(__builtin_frame_address(0));
    for (std::size_t depth = 1024; depth < kDepth; depth += 1024) {
        *static_cast<volatile std::byte*>(frame - depth) = std::byte{1};
    }
    return frame - kDepth / 2;
}

/// How many of the pages there are in memory. (What all of the process has is no use: a sanitizer keeps freed memory.)
std::size_t count_resident(const std::vector<std::byte*>& places) {
    const auto page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    std::size_t count = 0;
    for (std::byte* const place : places) {
        std::byte* const page = place - reinterpret_cast<std::uintptr_t>(place) % page_bytes;
        unsigned char state = 0;
        // An error says that it is not even mapped.
        if (::mincore(page, page_bytes, &state) == 0 && (state & 1) != 0) {
            ++count;
        }
    }
    return count;
}

/// Leaves the warm stacks of so many fibers behind, which were all there at once. Returns a byte of each.
std::vector<std::byte*> burst(Runtime& runtime) {
    std::vector<std::byte*> places(kStacks);
    runtime.run([&] {
        std::atomic<std::size_t> started{0};
        std::atomic<bool> may_end{false};
        std::vector<test::JoinedFiber<void>> fibers;
        for (std::byte*& place : places) {
            fibers.push_back(spawn([&] {
                place = use_stack();
                ++started;
                while (!may_end) {
                    this_fiber::sleep_for(1ms);
                }
            }));
        }
        while (started != kStacks) {
            this_fiber::sleep_for(1ms);
        }
        EXPECT_EQ(count_resident(places), kStacks);
        may_end = true;
    });
    return places;
}

std::uint64_t polls_during(const Runtime& runtime, std::chrono::milliseconds time) {
    const auto before = runtime.stats().polls;
    std::this_thread::sleep_for(time);
    return runtime.stats().polls - before;
}

/// The parameter is the number of workers. The only one may sleep on the stack of a waiting fiber.
class IdleMemory : public testing::TestWithParam<std::size_t> {
protected:
    /// Whether the stacks of a burst go but for the few that are kept, without anybody's doing.
    [[nodiscard]] bool fall_back(const std::vector<std::byte*>& places) const {
        return test::holds_before(soon(), [&] { return count_resident(places) <= kept(); });
    }
    [[nodiscard]] std::size_t kept() const { return GetParam() * detail::StackCache::kKeptStacks; }
    /// For longer than a worker sleeps that has something to give up.
    [[nodiscard]] bool sleeps_for_good() const {
        static_assert(1500ms > detail::StackCache::kTrimInterval);
        return test::holds_before(soon(), [&] { return polls_during(runtime_, 1500ms) == 0; });
    }

    Runtime runtime_{{.workers = GetParam()}};
};

TEST_P(IdleMemory, FallsBackOnceAndForAll) {
    for (int i = 0; i != 2; ++i) {
        EXPECT_TRUE(fall_back(burst(runtime_)));
    }
    EXPECT_TRUE(sleeps_for_good());
}

TEST_P(IdleMemory, FallsBackWhileAFiberWaits) {
    IoSource source(test::make_eventfd());
    auto reader = runtime_.spawn([&] {
        for (;;) {
            if (const auto waited = source.wait_readable(Deadline::after(1h)); !waited) {
                return waited.error();
            }
            (void)test::take_signals(source.fd());
        }
    });
    const auto places = burst(runtime_);
    test::signal(source.fd());  // whoever is told now is the last to go to sleep
    EXPECT_TRUE(fall_back(places));
    EXPECT_TRUE(sleeps_for_good());
    source.cancel();
    EXPECT_EQ(reader.join(), std::errc::operation_canceled);
}

TEST_P(IdleMemory, FallsBackUnderALoadThatNeedsFewStacks) {
    IoSource source(test::make_eventfd());
    auto reader = runtime_.spawn([&] {
        std::uint64_t rounds = 0;
        while (source.wait_readable(Deadline::after(1h))) {
            rounds += test::take_signals(source.fd());
        }
        return rounds;
    });
    const auto places = burst(runtime_);
    EXPECT_TRUE(test::holds_before(soon(), [&] {
        test::signal(source.fd());
        return count_resident(places) <= kept();
    }));
    source.cancel();
    EXPECT_GT(reader.join(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Workers, IdleMemory, testing::Values(1, 2));

}  // namespace
}  // namespace coir
