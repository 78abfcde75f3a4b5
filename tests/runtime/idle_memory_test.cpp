#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/stack_pool.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"
#include "support/process_facts.hpp"

// A worker with nothing to do gives up the stacks that a burst has left warm, and then sleeps.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::resident_bytes;
using test::soon;

constexpr std::size_t kStacks = 100;
constexpr std::size_t kUsedBytes = 64 * 1024;  // of each

/// Uses that much of the stack, and a little more.
[[gnu::noinline]] std::size_t use_stack(std::size_t bytes) {
    volatile std::byte frame[1024];
    frame[0] = std::byte{1};
    return bytes < sizeof frame
               ? static_cast<std::size_t>(frame[0])
               : use_stack(bytes - sizeof frame) + static_cast<std::size_t>(frame[0]);
}

/// Leaves the warm stacks of so many fibers behind, which were all there at once.
void burst(Runtime& runtime) {
    runtime.run([] {
        std::vector<test::JoinedFiber<void>> fibers;
        for (std::size_t i = 0; i != kStacks; ++i) {
            fibers.push_back(spawn([] {
                (void)use_stack(kUsedBytes);
                this_fiber::sleep_for(5ms);
            }));
        }
    });
}

std::uint64_t polls_during(const Runtime& runtime, std::chrono::milliseconds time) {
    const auto before = runtime.stats().polls;
    std::this_thread::sleep_for(time);
    return runtime.stats().polls - before;
}

/// The parameter is the number of workers. The only one may sleep on the stack of a waiting fiber.
class IdleMemory : public testing::TestWithParam<std::size_t> {
protected:
    /// Whether most of what `burst()` has used goes, without anybody's doing.
    [[nodiscard]] bool falls_back() const {
        const std::size_t kept = GetParam() * detail::StackCache::kKeptStacks;
        const std::size_t most = resident_bytes() - (kStacks - kept) * kUsedBytes / 2;
        return test::holds_before(soon(), [&] { return resident_bytes() < most; });
    }
    /// For longer than a worker sleeps that has something to give up.
    [[nodiscard]] bool sleeps_for_good() const {
        static_assert(1500ms > detail::StackCache::kTrimInterval);
        return test::holds_before(soon(), [&] { return polls_during(runtime_, 1500ms) == 0; });
    }

    Runtime runtime_{{.workers = GetParam()}};
};

TEST_P(IdleMemory, FallsBackOnceAndForAll) {
    for (int i = 0; i != 2; ++i) {
        burst(runtime_);
        EXPECT_TRUE(falls_back());
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
    burst(runtime_);
    test::signal(source.fd());  // whoever is told now is the last to go to sleep
    EXPECT_TRUE(falls_back());
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
    burst(runtime_);
    const std::size_t most = resident_bytes() - kStacks * kUsedBytes / 2;
    EXPECT_TRUE(test::holds_before(soon(), [&] {
        test::signal(source.fd());
        return resident_bytes() < most;
    }));
    source.cancel();
    EXPECT_GT(reader.join(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Workers, IdleMemory, testing::Values(1, 2));

}  // namespace
}  // namespace coir
