#include "coir/runtime/ticker.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

/// Every case runs on a plain thread and on a fiber.
class TickerOn : public testing::TestWithParam<bool> {
protected:
    static void run(const std::function<void()>& body) {
        if (GetParam()) {
            Runtime({.workers = 1}).run(body);
        } else {
            body();
        }
    }
};

INSTANTIATE_TEST_SUITE_P(Where, TickerOn, testing::Bool(), [](const auto& instance) {
    return instance.param ? "AFiber" : "APlainThread";
});

TEST_P(TickerOn, StrikesOnceAPeriodWithoutDrift) {
    run([] {
        const auto begin = Clock::now();
        auto ticker = Ticker::start(2ms).value();
        std::uint64_t strikes = 0;
        while (strikes < 20) {
            strikes += ticker.tick(soon()).value();
            // However late a call came, what has been counted is what the clock says.
            ASSERT_GE(Clock::now() - begin, strikes * 2ms);
        }
    });
}

TEST_P(TickerOn, CountsTheStrikesThatWereMissed) {
    run([] {
        auto ticker = Ticker::start(1ms).value();
        this_fiber::sleep_for(10ms);
        EXPECT_GE(ticker.tick(soon()).value(), 9U);
    });
}

TEST_P(TickerOn, TickEndsAtItsDeadline) {
    run([] {
        auto ticker = Ticker::start(std::chrono::hours(1)).value();
        EXPECT_EQ(ticker.tick(Deadline::after(2ms)).error(), std::errc::timed_out);
    });
}

TEST(Ticker, RefusesAPeriodThatIsNotPositive) {
    EXPECT_EQ(Ticker::start(0ms).error(), std::errc::invalid_argument);
    EXPECT_EQ(Ticker::start(-1ms).error(), std::errc::invalid_argument);
}

TEST(Ticker, CancelEndsTheWait) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        auto ticker = Ticker::start(std::chrono::hours(1)).value();
        auto waiting = spawn([&] { return ticker.tick(soon()).error(); });
        this_fiber::yield();
        ticker.cancel();
        EXPECT_EQ(waiting.join(), std::errc::operation_canceled);
        EXPECT_EQ(ticker.tick(soon()).error(), std::errc::operation_canceled);
    });
}

TEST(Ticker, AFiberThatIsAskedToStopHearsNoStrikeThatItMissed) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        auto ticker = Ticker::start(1ms).value();
        this_fiber::sleep_for(3ms);
        auto stopped = spawn([&] { return ticker.tick(soon()).error(); });
        stopped.request_stop();
        EXPECT_EQ(stopped.join(), std::errc::operation_canceled);
        EXPECT_GE(ticker.tick(soon()).value(), 2U);
    });
}

}  // namespace
}  // namespace coir
