#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>

#include "coir/base/assert.hpp"
#include "coir/base/opaque.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/sanitized.hpp"

namespace coir {
namespace {

COIR_OPAQUE void write(int* place) {
    *place = 1;
}

COIR_OPAQUE void use_a_frame() {
    int array[8];
    this_fiber::yield();
    write(array + 7);
}

std::size_t address_space_pages() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages;
}

void run_many_fibers() {
    const auto run = [](int fibers) {
        Runtime runtime({.workers = 2, .force_migration = true});
        runtime.run([&] {
            for (int i = 0; i != fibers; ++i) {
                spawn(use_a_frame).join();
            }
        });
    };
    run(20);
    const std::size_t before = address_space_pages();
    run(200);
    COIR_CHECK(address_space_pages() - before < 10'000);
    std::exit(EXIT_SUCCESS);
}

// AddressSanitizer can keep frames apart from the stack, to see their use after return. That memory
// stayed when a fiber had ended: 700 pages and more for each.
TEST(FakeStackDeathTest, GoesWithItsFiber) {
    if (!test::kAddressSanitizer) {
        GTEST_SKIP() << "only AddressSanitizer has such stacks";
    }
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const char* const options = std::getenv("ASAN_OPTIONS");
    const std::string before = options == nullptr ? "" : options;
    ASSERT_EQ(::setenv("ASAN_OPTIONS", (before + ":detect_stack_use_after_return=1").c_str(), 1),
              0);
    EXPECT_EXIT(run_many_fibers(), testing::ExitedWithCode(EXIT_SUCCESS), "");
    ASSERT_EQ(::setenv("ASAN_OPTIONS", before.c_str(), 1), 0);
}

}  // namespace
}  // namespace coir
