#include "coir/base/deadline.hpp"

#include <gtest/gtest.h>

namespace coir {
namespace {

using namespace std::chrono_literals;
using Clock = Deadline::Clock;

TEST(Deadline, NeverPassesOnlyAtTheEndOfTheClock) {
    constexpr Deadline never = Deadline::never();
    EXPECT_TRUE(never.is_never());
    EXPECT_FALSE(never.has_passed(Clock::now()));
    EXPECT_FALSE(never.has_passed(Clock::time_point::max() - Clock::duration(1)));
}

TEST(Deadline, HasPassedFromItsPointOn) {
    constexpr Clock::time_point point{100s};
    constexpr Deadline deadline = Deadline::at(point);
    EXPECT_FALSE(deadline.is_never());
    EXPECT_FALSE(deadline.has_passed(point - Clock::duration(1)));
    EXPECT_TRUE(deadline.has_passed(point));
    EXPECT_TRUE(deadline.has_passed(point + 1h));
}

TEST(Deadline, AfterIsThatLongFromNow) {
    const auto before = Clock::now();
    const Deadline deadline = Deadline::after(5s);
    const auto after = Clock::now();
    EXPECT_GE(deadline.time_point(), before + 5s);
    EXPECT_LE(deadline.time_point(), after + 5s);
    EXPECT_TRUE(Deadline::after(0s).has_passed(Clock::now()));
    EXPECT_TRUE(Deadline::after(-1s).has_passed(before));
}

TEST(Deadline, RoughlyAfterIsAtMostTenMillisecondsEarly) {
    const auto before = Clock::now();
    const Deadline deadline = Deadline::roughly_after(5s);
    EXPECT_GE(deadline.time_point(), before + 5s - 10ms);
    EXPECT_LE(deadline.time_point(), Clock::now() + 5s);
}

TEST(Deadline, PastTheEndOfTheClockIsNever) {
    EXPECT_TRUE(Deadline::after(Clock::duration::max()).is_never());
    EXPECT_TRUE(Deadline::roughly_after(Clock::duration::max()).is_never());
    EXPECT_FALSE(Deadline::after(Clock::duration::min()).is_never());
    EXPECT_TRUE(Deadline::after(Clock::duration::min()).has_passed(Clock::now()));
}

TEST(Deadline, SoonerIsLess) {
    EXPECT_LT(Deadline::at(Clock::time_point(1s)), Deadline::at(Clock::time_point(2s)));
    EXPECT_LT(Deadline::after(24h * 365), Deadline::never());
    EXPECT_EQ(Deadline::never(), Deadline::at(Clock::time_point::max()));
}

TEST(CoarseNow, IsBehindTheClockByATickAtMost) {
    const auto before = Clock::now();
    const auto coarse = coarse_now();
    EXPECT_LE(coarse, Clock::now());
    EXPECT_GE(coarse, before - 10ms);
}

}  // namespace
}  // namespace coir
