#include "coir/runtime/time_limit.hpp"

#include <gtest/gtest.h>

#include <stop_token>
#include <utility>

#include "coir/runtime/parker.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

class TimeLimitOn : public testing::TestWithParam<std::size_t> {
protected:
    template <typename Body>
    static void run(Body body) {
        Runtime({.workers = GetParam()}).run(body);
    }
};

INSTANTIATE_TEST_SUITE_P(Workers, TimeLimitOn, testing::Values(1, 3));

TEST_P(TimeLimitOn, EndsWaitsUntilItEndsItself) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        EXPECT_FALSE(limit.end());
        limit.begin(10ms);
        Parker parker;
        EXPECT_EQ(parker.park(Deadline::never()).error(), std::errc::timed_out);
        EXPECT_EQ(this_fiber::sleep_for(1h), std::errc::timed_out);
        EXPECT_TRUE(limit.end());
        EXPECT_TRUE(this_fiber::deadline().is_never());
        EXPECT_FALSE(this_fiber::sleep_for(1ms));
        EXPECT_FALSE(limit.end());
    });
}

// One millisecond less than none was taken for no limit, two were over at once.
TEST_P(TimeLimitOn, LessThanNoTimeIsOverAtOnce) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        for (const auto allowed : {0ms, -1ms, -2ms, -std::chrono::milliseconds::max()}) {
            limit.begin(allowed);
            EXPECT_EQ(this_fiber::sleep_for(1h), std::errc::timed_out) << allowed.count();
            EXPECT_TRUE(limit.end()) << allowed.count();
        }
    });
}

TEST_P(TimeLimitOn, BeginsWithTheFirstWait) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        limit.begin(0ms);
        EXPECT_FALSE(limit.end());  // nobody has looked
        limit.begin(1h);
        const Deadline end = this_fiber::deadline();
        EXPECT_LE(end, Deadline::after(1h));
        EXPECT_GT(end, Deadline::after(59min));
        EXPECT_EQ(this_fiber::deadline(), end);
        EXPECT_FALSE(limit.end());
        limit.begin(std::chrono::milliseconds::max());
        EXPECT_TRUE(this_fiber::deadline().is_never());
        EXPECT_FALSE(limit.end());
    });
}

TEST_P(TimeLimitOn, LeavesDeadlineScopesAndShieldsAlone) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        limit.begin(1h);
        const Deadline end = this_fiber::deadline();
        {
            const this_fiber::DeadlineScope wider(Deadline::after(2h));
            EXPECT_EQ(this_fiber::deadline(), end);
            const Deadline soon = Deadline::after(1min);
            const this_fiber::DeadlineScope narrower(soon);
            EXPECT_EQ(this_fiber::deadline(), soon);
            const auto before = limit.lift();
            EXPECT_EQ(this_fiber::deadline(), soon);
            limit.restore(before, 30min);
            EXPECT_EQ(this_fiber::deadline(), soon);
        }
        EXPECT_EQ(this_fiber::deadline(), Deadline::at(end.time_point() + 30min));
        {
            const this_fiber::Shield shield;
            EXPECT_TRUE(this_fiber::deadline().is_never());
        }
        EXPECT_FALSE(limit.end());
    });
}

TEST_P(TimeLimitOn, IsInheritedAsADeadline) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        limit.begin(1h);
        Deadline inherited = Deadline::never();
        spawn([&] { inherited = this_fiber::deadline(); }).join();
        EXPECT_EQ(inherited, this_fiber::deadline());
        EXPECT_FALSE(limit.end());
    });
}

TEST_P(TimeLimitOn, EndsNothingWhileItIsLifted) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        limit.begin(1ms);
        EXPECT_EQ(this_fiber::sleep_for(1h), std::errc::timed_out);
        const Deadline end = this_fiber::deadline();
        const auto before = limit.lift();
        EXPECT_FALSE(this_fiber::sleep_for(1ms));
        EXPECT_TRUE(this_fiber::deadline().is_never());
        limit.restore(before, 1h);
        EXPECT_EQ(this_fiber::deadline(), Deadline::at(end.time_point() + 1h));
        EXPECT_FALSE(limit.end());
        // One that has not begun does not begin by it.
        limit.begin(1h);
        limit.restore(limit.lift(), 5h);
        EXPECT_LE(this_fiber::deadline(), Deadline::after(1h));
        EXPECT_FALSE(limit.end());
    });
}

// A wait that only the listener ends.
bool is_triggered(const std::stop_source& listener) {
    const this_fiber::Shield shield;
    Parker parker;
    const std::stop_callback wake(listener.get_token(), [&] { parker.unpark(); });
    return parker.park(soon()).has_value();
}

TEST_P(TimeLimitOn, TriggersAListener) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        for (int round = 0; round < 10; ++round) {
            limit.begin(1ms);
            std::stop_source listener;
            limit.stop_at_end(listener);
            EXPECT_TRUE(is_triggered(listener));
            EXPECT_TRUE(limit.end());
        }
    });
}

TEST_P(TimeLimitOn, TriggersNoListenerThatItHasLetGoOf) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        std::stop_source unlimited;
        limit.stop_at_end(unlimited);  // there is no limit
        limit.begin(1h);
        std::stop_source first;
        std::stop_source second;
        const std::stop_token token = first.get_token();
        limit.stop_at_end(std::move(first));
        EXPECT_TRUE(token.stop_possible());
        limit.stop_at_end(second);
        EXPECT_FALSE(token.stop_possible());
        EXPECT_FALSE(limit.end());
        EXPECT_FALSE(second.stop_requested());
    });
}

TEST_P(TimeLimitOn, TriggersAListenerLaterByWhatItWasLifted) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        limit.begin(1h);
        std::stop_source listener;
        limit.stop_at_end(listener);
        auto before = limit.lift();
        limit.restore(before, 1h);
        before = limit.lift();
        limit.restore(before, -2h + 1ms);  // as if the clock had turned on
        EXPECT_TRUE(is_triggered(listener));
        EXPECT_TRUE(limit.end());
        // Not while it is lifted.
        limit.begin(50ms);
        std::stop_source other;
        limit.stop_at_end(other);
        before = limit.lift();
        const bool in_time = !other.stop_requested();
        EXPECT_FALSE(this_fiber::sleep_for(100ms));
        EXPECT_EQ(other.stop_requested(), !in_time);
        limit.restore(before, 100ms);
        EXPECT_TRUE(is_triggered(other));
        EXPECT_TRUE(limit.end());
    });
}

// The timer goes off while its owner lets go of it, perhaps on another worker.
TEST_P(TimeLimitOn, LetsGoOfItsListenerAlsoInTheMomentThatItTriggers) {
    run([] {
        TimeLimit& limit = TimeLimit::current();
        for (int round = 0; round < 100; ++round) {
            std::stop_source listener;
            const std::stop_token token = listener.get_token();
            limit.begin(15ms);
            limit.stop_at_end(std::move(listener));
            const Deadline end = Deadline::at(this_fiber::deadline().time_point() - 10us);
            while (!end.has_passed(Clock::now())) {
                this_fiber::yield();
            }
            EXPECT_TRUE(test::holds_before(soon(), [&] {
                (void)limit.end();
                return token.stop_requested() || !token.stop_possible();
            }));
        }
    });
}

}  // namespace
}  // namespace coir
