#include "coir/sync/event.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "coir/runtime/runtime.hpp"
#include "support/joined_fiber.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

TEST(Event, LetsEverybodyGoOnWhoWaitsAndWhoWill) {
    Runtime runtime({.workers = 2});
    Event event;
    EXPECT_FALSE(event.is_set());
    std::vector<test::JoinedFiber<void>> fibers;
    for (int i = 0; i != 20; ++i) {
        fibers.push_back(runtime.spawn([&] { event.wait(); }));
    }
    ASSERT_TRUE(test::wait_for_waiting(runtime, "an event", 20));
    event.set();
    event.set();
    fibers.clear();
    EXPECT_TRUE(event.is_set());
    event.wait();
    EXPECT_TRUE(event.wait_until(Deadline::at(Deadline::Clock::now() - 1s)));
}

TEST(Event, ResetMakesItWaitForTheNextTime) {
    Runtime runtime({.workers = 1});
    Event event;
    event.set();
    event.reset();
    EXPECT_FALSE(event.is_set());
    EXPECT_EQ(event.wait_until(Deadline::after(1ms)).error(), std::errc::timed_out);
    auto fiber = runtime.spawn([&] { return event.wait_until(soon()); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "an event"));
    event.reset();
    EXPECT_FALSE(fiber.is_done());
    event.set();
    event.reset();
    EXPECT_TRUE(fiber.join()) << "who has been let go stays so";
}

}  // namespace
}  // namespace coir
