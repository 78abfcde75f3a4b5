#include "http/patience.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>

namespace coir::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Patience, IsSpentByWaitsAndEarnedByBytes) {
    Patience patience(milliseconds(30'000), 1000);
    EXPECT_EQ(patience.left(), seconds(30));
    patience.spend(seconds(20));
    EXPECT_EQ(patience.left(), seconds(10));
    patience.earn(2500);
    EXPECT_EQ(patience.left(), milliseconds(12'500));
    patience.renew();
    EXPECT_EQ(patience.left(), seconds(30));
}

TEST(Patience, CannotBeSavedUp) {
    Patience patience(milliseconds(30'000), 1000);
    patience.earn(std::uint64_t{10} << 30);
    EXPECT_EQ(patience.left(), seconds(30));
}

TEST(Patience, EndsForWhoIsBelowTheRateAndForNobodyElse) {
    Patience slow(milliseconds(30'000), 1000);
    Patience good(milliseconds(30'000), 1000);
    int turns = 0;
    for (; !slow.is_over(); ++turns) {
        ASSERT_LT(turns, 10'000);
        slow.spend(milliseconds(100));
        slow.earn(90);
        good.spend(milliseconds(100));
        good.earn(100);
    }
    EXPECT_NEAR(turns, 3000, 2);  // 10 ms each
    EXPECT_EQ(good.left(), seconds(30));
}

TEST(Patience, LastsAsLongAsTheClockCanHold) {
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    Patience endless(milliseconds::max(), 0);
    endless.spend(seconds(5));
    endless.earn(kMost);
    EXPECT_EQ(endless.left(), Patience::Duration::max());
    Patience fast(milliseconds(1000), kMost);
    fast.spend(milliseconds(500));
    fast.earn(9);
    EXPECT_EQ(fast.left(), milliseconds(500) + std::chrono::nanoseconds(1));
    fast.earn(kMost);
    EXPECT_EQ(fast.left(), seconds(1));
}

}  // namespace
}  // namespace coir::http
