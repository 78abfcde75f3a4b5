#include "runtime/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace coir::detail {
namespace {

using namespace std::chrono_literals;
using TimePoint = TimerWheel::TimePoint;
using Duration = TimerWheel::Clock::duration;

constexpr TimePoint kStart{1000s};
constexpr Duration kTick{1 << 20};

std::vector<TimerNode*> expire_all(TimerWheel& wheel, TimePoint now) {
    std::vector<TimerNode*> expired;
    while (TimerNode* const node = wheel.expire(now)) {
        expired.push_back(node);
    }
    return expired;
}

TEST(TimerWheel, IsEmptyAndHasNoNextExpiryAtFirst) {
    TimerWheel wheel(kStart);
    EXPECT_TRUE(wheel.empty());
    EXPECT_EQ(wheel.size(), 0U);
    EXPECT_EQ(wheel.next_expiry(), TimePoint::max());
    EXPECT_EQ(wheel.expire(kStart + 1h), nullptr);
    EXPECT_TRUE(wheel.validate());
}

TEST(TimerWheel, FiresNothingEarlyAndEverythingWithinATick) {
    for (const Duration delay :
         {Duration(1), Duration(1us), kTick - Duration(1), kTick, kTick + Duration(1),
          Duration(63ms), 64 * kTick, 65 * kTick, Duration(1s), 64 * 64 * kTick, Duration(1min),
          Duration(25h), Duration(24h * 400), Duration(24h * 365 * 3)}) {
        TimerWheel wheel(kStart);
        TimerNode node;
        wheel.arm(node, kStart + delay);
        EXPECT_TRUE(node.is_armed());
        EXPECT_TRUE(expire_all(wheel, kStart + delay - Duration(1)).empty()) << delay.count();
        EXPECT_TRUE(wheel.validate());
        EXPECT_EQ(expire_all(wheel, kStart + delay + kTick), std::vector{&node}) << delay.count();
        EXPECT_FALSE(node.is_armed());
        EXPECT_TRUE(wheel.empty());
        EXPECT_TRUE(wheel.validate());
    }
}

TEST(TimerWheel, FiresAPastDeadlineWithTheNextExpire) {
    TimerWheel wheel(kStart);
    EXPECT_EQ(wheel.expire(kStart + 10s), nullptr);
    TimerNode before_start;
    TimerNode before_now;
    wheel.arm(before_start, kStart - 5s);
    wheel.arm(before_now, kStart + 5s);
    EXPECT_LE(wheel.next_expiry(), kStart + 10s);
    EXPECT_EQ(expire_all(wheel, kStart + 10s), (std::vector{&before_start, &before_now}));
}

TEST(TimerWheel, StaysStillWhenTimeGoesBackwards) {
    TimerWheel wheel(kStart);
    EXPECT_EQ(wheel.expire(kStart + 10s), nullptr);
    TimerNode node;
    wheel.arm(node, kStart + 11s);
    EXPECT_EQ(wheel.expire(kStart + 1s), nullptr);
    EXPECT_EQ(wheel.expire(kStart - 1s), nullptr);
    EXPECT_EQ(expire_all(wheel, kStart + 12s), std::vector{&node});
}

TEST(TimerWheel, DisarmTakesANodeOutAndIsHarmlessTwice) {
    TimerWheel wheel(kStart);
    TimerNode a;
    TimerNode b;
    wheel.arm(a, kStart + 1s);
    wheel.arm(b, kStart + 1s);
    wheel.disarm(a);
    wheel.disarm(a);
    EXPECT_FALSE(a.is_armed());
    EXPECT_EQ(wheel.size(), 1U);
    EXPECT_TRUE(wheel.validate());
    EXPECT_EQ(expire_all(wheel, kStart + 2s), std::vector{&b});
    wheel.disarm(b);
    EXPECT_TRUE(wheel.empty());
    EXPECT_EQ(wheel.next_expiry(), TimePoint::max());
}

TEST(TimerWheel, ANodeCanBeArmedAgainFromTheExpiryLoop) {
    TimerWheel wheel(kStart);
    TimerNode node;
    wheel.arm(node, kStart + 1s);
    TimePoint due = kStart + 1s;
    int fired = 0;
    const TimePoint end = kStart + 60s + kTick;
    while (TimerNode* const expired = wheel.expire(end)) {
        EXPECT_EQ(expired, &node);
        ++fired;
        due += 1s;
        wheel.arm(node, due);
    }
    EXPECT_EQ(fired, 60);
    EXPECT_TRUE(wheel.validate());
    wheel.disarm(node);
}

TEST(TimerWheel, HoldsTheLargestDeadlineWithoutOverflow) {
    TimerWheel wheel(kStart);
    TimerNode node;
    wheel.arm(node, TimePoint::max());
    EXPECT_TRUE(wheel.validate());
    EXPECT_EQ(wheel.expire(kStart + 24h * 365 * 100), nullptr);
    EXPECT_TRUE(wheel.validate());
    EXPECT_EQ(wheel.size(), 1U);
    wheel.disarm(node);
}

TEST(TimerWheel, NextExpiryLeadsToTheDeadlineInFewSteps) {
    // A worker that has nothing else to do sleeps until next_expiry(), and again: this must not be a spin.
    for (const Duration delay : {Duration(1ms), Duration(10s), Duration(1h), Duration(24h * 30)}) {
        TimerWheel wheel(kStart);
        TimerNode node;
        wheel.arm(node, kStart + delay);
        TimePoint now = kStart;
        int steps = 0;
        while (wheel.expire(now) == nullptr) {
            ASSERT_GT(wheel.next_expiry(), now);
            ASSERT_LE(wheel.next_expiry(), kStart + delay + kTick);
            now = wheel.next_expiry();
            ++steps;
        }
        EXPECT_LE(steps, 8) << delay.count();
        EXPECT_GE(now, kStart + delay);
    }
}

/// How a random deadline is spread.
struct Spread {
    const char* name;
    double longest_seconds;
};

class TimerWheelAgainstAModel : public testing::TestWithParam<std::tuple<Spread, int>> {
protected:
    struct Timer {
        TimerNode node;
        TimePoint deadline;
    };

    /// As many near as far: the logarithm is spread evenly.
    Duration any_duration() {
        const double longest = std::log(std::get<Spread>(GetParam()).longest_seconds * 1e9);
        const double chosen = std::uniform_real_distribution<>(0, longest)(random_);
        return Duration(static_cast<Duration::rep>(std::exp(chosen)));
    }
    std::size_t any_below(std::size_t bound) { return random_() % bound; }

    void expire_and_check() {
        for (TimerNode* const node : expire_all(wheel_, now_)) {
            const auto found = armed_.find(node);
            ASSERT_NE(found, armed_.end()) << "fired though not armed";
            ASSERT_LE(found->second, now_) << "fired early";
            armed_.erase(found);
        }
        for (const auto& [node, deadline] : armed_) {
            ASSERT_TRUE(node->is_armed());
            ASSERT_GT(deadline + kTick, now_) << "lost or late";
        }
    }
    void check() {
        ASSERT_TRUE(wheel_.validate());
        ASSERT_EQ(wheel_.size(), armed_.size());
        ASSERT_EQ(wheel_.empty(), armed_.empty());
        if (armed_.empty()) {
            ASSERT_EQ(wheel_.next_expiry(), TimePoint::max());
            return;
        }
        TimePoint earliest = TimePoint::max();
        for (const auto& [node, deadline] : armed_) {
            earliest = std::min(earliest, deadline);
        }
        // Rounded up to its tick, or that of now, if it has passed.
        ASSERT_LT(wheel_.next_expiry(), std::max(earliest, now_) + kTick);
    }

    std::mt19937_64 random_{static_cast<std::uint64_t>(std::get<int>(GetParam()))};
    TimerWheel wheel_{kStart};
    TimePoint now_ = kStart;
    std::map<TimerNode*, TimePoint> armed_;
};

INSTANTIATE_TEST_SUITE_P(
    Deadlines, TimerWheelAgainstAModel,
    testing::Combine(testing::Values(Spread{"UpToASecond", 1}, Spread{"UpToAnHour", 3600},
                                     Spread{"UpToAYear", 3e7}, Spread{"BeyondTheWheel", 2e8}),
                     testing::Range(1, 6)),
    [](const auto& instance) {
        return std::string(std::get<Spread>(instance.param).name) + "Seed" +
               std::to_string(std::get<int>(instance.param));
    });

TEST_P(TimerWheelAgainstAModel, ExpiresWhatIsDueNothingEarlyAndLosesNothing) {
    std::vector<std::unique_ptr<TimerNode>> nodes;
    for (int i = 0; i != 200; ++i) {
        nodes.push_back(std::make_unique<TimerNode>());
    }
    for (int step = 0; step != 1500;
         ++step) {  // some decades at most: the clock has three centuries
        TimerNode& node = *nodes[any_below(nodes.size())];
        switch (any_below(8)) {
            case 0:  // time passes, a little or a lot
                now_ += any_duration();
                expire_and_check();
                break;
            case 1:  // until the wheel says that there is something to do
                if (wheel_.next_expiry() != TimePoint::max()) {
                    now_ = std::max(now_, wheel_.next_expiry());
                    expire_and_check();
                }
                break;
            case 2:  // only some of what is due is taken out
                now_ += any_duration();
                if (TimerNode* const expired = wheel_.expire(now_)) {
                    ASSERT_LE(armed_.at(expired), now_);
                    armed_.erase(expired);
                }
                break;
            case 3:
                wheel_.disarm(node);
                armed_.erase(&node);
                break;
            default:
                if (!node.is_armed()) {
                    const TimePoint deadline =
                        any_below(10) == 0 ? now_ - any_duration() : now_ + any_duration();
                    wheel_.arm(node, deadline);
                    armed_[&node] = deadline;
                }
        }
        ASSERT_NO_FATAL_FAILURE(check()) << "step " << step;
    }
    // In the end everything comes up.
    now_ += std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(std::get<Spread>(GetParam()).longest_seconds + 1));
    expire_and_check();
    EXPECT_TRUE(armed_.empty());
    EXPECT_TRUE(wheel_.empty());
}

}  // namespace
}  // namespace coir::detail
