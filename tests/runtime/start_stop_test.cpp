#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <ostream>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/sanitized.hpp"
#include "support/patience.hpp"
#include "support/process_facts.hpp"

namespace coir {
namespace {

/// One runtime that does a little of everything: waits on a descriptor, a deadline, a sleep and a join,
/// with stacks of two sizes.
void run_once() {
    Runtime runtime({.workers = 3});
    runtime.run([] {
        IoSource source(test::make_eventfd());
        auto reader = spawn({.stack_bytes = 32 * 1024},
                            [&] { EXPECT_TRUE(source.wait_readable(test::soon())); });
        auto sleeper =
            spawn({.worker = 1}, [] { this_fiber::sleep_for(std::chrono::microseconds(10)); });
        test::signal(source.fd());
        reader.join();
        sleeper.join();
    });
}

struct Held {
    std::ptrdiff_t threads = test::threads();
    std::ptrdiff_t descriptors = test::open_descriptors();
    std::size_t mappings = test::mappings();
    std::size_t memory = test::resident_bytes();
    std::size_t address_space = test::bytes_of("/proc/self/status", "VmSize");
};

TEST(RuntimeStop, AThousandRuntimesOneAfterTheOtherLeaveNothingBehind) {
    constexpr int kRounds = test::unless_tsan(1'000, 200);
    for (int i = 0; i != 100; ++i) {
        run_once();  // what the C library keeps: stacks of threads, arenas
    }
    const Held before;
    for (int i = 0; i != kRounds; ++i) {
        run_once();
    }
    // A thread that was joined may take a moment to vanish from /proc.
    EXPECT_TRUE(
        test::holds_before(test::soon(), [&] { return test::threads() == before.threads; }));
    const Held after;
    EXPECT_EQ(after.descriptors, before.descriptors);
    if (!test::kAddressSanitizer &&
        !test::kThreadSanitizer) {  // they keep what was freed, and map shadows
        // Less than one per fifty runtimes: arenas come and grow as threads happen to meet.
        EXPECT_LE(after.mappings, before.mappings + 20);
        EXPECT_LT(after.memory, before.memory + 1'000'000);
        // Mappings that lie side by side count as one, and need not have been touched.
        EXPECT_LT(after.address_space, before.address_space + 32'000'000);
    }
}

}  // namespace
}  // namespace coir
