#include "coir/base/deadline.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <ratio>

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
    EXPECT_TRUE(Deadline::after({}).has_passed(Clock::now()));
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

// To convert these to nanoseconds overflows, which was done before anybody looked.
TEST(Deadline, AnyUnitMayBePastTheEndOfTheClock) {
    const auto expect_ends = [](auto longest, auto shortest) {
        EXPECT_TRUE(Deadline::after(longest).is_never());
        EXPECT_TRUE(Deadline::roughly_after(longest).is_never());
        EXPECT_TRUE(Deadline::after(shortest).has_passed(Clock::now()));
        EXPECT_TRUE(Deadline::roughly_after(shortest).has_passed(Clock::now()));
    };
    using namespace std::chrono;
    expect_ends(microseconds::max(), microseconds::min());
    expect_ends(milliseconds::max(), milliseconds::min());
    expect_ends(hours::max(), hours::min());
    expect_ends(duration<double>(1e300), duration<double>(-1e300));
    expect_ends(duration<std::uint64_t>::max(), duration<int>::min());
}

TEST(Saturated, ConvertsWhatTheClockCanHold) {
    using namespace std::chrono;
    static_assert(saturated(3s) == nanoseconds(3'000'000'000));
    static_assert(saturated(-3ms) == nanoseconds(-3'000'000));
    static_assert(saturated(duration<double>(0.5)) == nanoseconds(500'000'000));
    static_assert(saturated(duration<std::int64_t, std::pico>(-2500)) == nanoseconds(-2));
    static_assert(saturated(duration<unsigned>(3)) == nanoseconds(3'000'000'000));
    static_assert(saturated(nanoseconds::max()) == nanoseconds::max());
    static_assert(saturated(milliseconds::max()) == nanoseconds::max());
    static_assert(saturated(seconds::min()) == nanoseconds::min());
    constexpr auto kMost = duration_cast<milliseconds>(nanoseconds::max());
    static_assert(saturated(kMost) == kMost);
    static_assert(saturated(kMost + 1ms) == nanoseconds::max());
    static_assert(saturated(-kMost) == -kMost);
    static_assert(saturated(-kMost - 1ms) == nanoseconds::min());
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
