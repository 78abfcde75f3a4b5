#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/select.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/channel.hpp"
#include "coir/sync/condition_variable.hpp"
#include "coir/sync/mutex.hpp"
#include "runtime/descriptors.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

/// One kind of wait that nobody ends.
struct Way {
    const char* name;
    std::error_code (*wait)(Deadline deadline);
};

void PrintTo(const Way& way, std::ostream* out) {
    *out << way.name;
}

std::error_code by_sleep(Deadline deadline) {
    const auto error = this_fiber::sleep_until(deadline);
    // The end of a sleep is its purpose.
    return !error ? std::make_error_code(std::errc::timed_out) : error;
}

std::error_code by_reading(Deadline deadline) {
    IoSource source(test::make_eventfd());
    return source.wait_readable(deadline).error();
}

std::error_code by_parking(Deadline deadline) {
    Parker parker;
    return parker.park(deadline).error();
}

std::error_code by_join(Deadline deadline) {
    FiberHandle<void> endless;
    {
        const this_fiber::Shield shield;  // so that the deadline is not its as well
        endless = spawn([] { this_fiber::sleep_for(1h); });
    }
    return endless.wait(deadline).error();
}

std::error_code by_lock(Deadline deadline) {
    Mutex mutex;
    std::optional<std::error_code> error;
    mutex.lock();
    auto other = spawn([&] { error = mutex.lock_until(deadline).error(); });
    // The fiber that is asked to stop is this one, which passes that on.
    const auto own = other.wait(deadline);
    if (!own && own.error() == std::errc::operation_canceled) {
        other.request_stop();
    }
    (void)other.wait(Deadline::never());
    {
        const this_fiber::Shield shield;
        other.join();
    }
    mutex.unlock();
    return *error;
}

std::error_code by_condition(Deadline deadline) {
    Mutex mutex;
    ConditionVariable changed;
    std::unique_lock lock(mutex);
    return changed.wait_until(lock, deadline, [] { return false; }).error();
}

std::error_code by_receiving(Deadline deadline) {
    Channel<int> channel(1);
    return channel.receive(deadline).error();
}

std::error_code by_sending(Deadline deadline) {
    Channel<int> channel(1);
    (void)channel.send(1, soon());
    return channel.send(2, deadline).error();
}

std::error_code by_select(Deadline deadline) {
    IoSource source(test::make_eventfd());
    return select_until(deadline, on_readable(source)).error();
}

class Wait : public testing::TestWithParam<Way> {
protected:
    [[nodiscard]] static std::error_code wait(Deadline deadline) {
        return GetParam().wait(deadline);
    }
};

INSTANTIATE_TEST_SUITE_P(Of, Wait,
                         testing::Values(Way{"Sleep", by_sleep}, Way{"Reading", by_reading},
                                         Way{"Parking", by_parking}, Way{"Join", by_join},
                                         Way{"Lock", by_lock}, Way{"Condition", by_condition},
                                         Way{"Receiving", by_receiving}, Way{"Sending", by_sending},
                                         Way{"Select", by_select}),
                         [](const auto& way) { return way.param.name; });

TEST_P(Wait, EndsWithOperationCanceledWhenItsFiberIsAskedToStop) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto fiber = spawn([] { return wait(soon()); });
        this_fiber::sleep_for(2ms);
        fiber.request_stop();
        EXPECT_EQ(fiber.join(), std::errc::operation_canceled);
    });
}

TEST_P(Wait, DoesNotBeginWhenItsFiberHasBeenAskedToStop) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto fiber = spawn([] {
            while (!this_fiber::stop_requested()) {
                this_fiber::yield();
            }
            return wait(soon());
        });
        fiber.request_stop();
        EXPECT_EQ(fiber.join(), std::errc::operation_canceled);
    });
}

TEST_P(Wait, EndsAtTheTaskWideDeadlineIfThatIsEarlier) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        const auto begin = Deadline::Clock::now();
        const this_fiber::DeadlineScope limit(Deadline::after(4ms));
        EXPECT_EQ(wait(soon()), std::errc::timed_out);
        EXPECT_GE(Deadline::Clock::now() - begin, 4ms);
        EXPECT_LT(Deadline::Clock::now() - begin, test::kPatience);
    });
}

TEST_P(Wait, EndsAtItsOwnDeadlineIfThatIsEarlier) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        const this_fiber::DeadlineScope limit(soon());
        EXPECT_EQ(wait(Deadline::after(2ms)), std::errc::timed_out);
    });
}

TEST_P(Wait, HeedsNeitherUnderAShield) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto fiber = spawn([] {
            const this_fiber::DeadlineScope limit(Deadline::after(0ms));
            while (!this_fiber::stop_requested()) {
                this_fiber::yield();
            }
            const this_fiber::Shield shield;
            const auto begin = Deadline::Clock::now();
            EXPECT_EQ(wait(Deadline::after(4ms)), std::errc::timed_out);
            return Deadline::Clock::now() - begin;
        });
        fiber.request_stop();
        EXPECT_GE(fiber.join(), 4ms);
    });
}

TEST(Cancellation, DoesNotEndAPlainLock) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        Mutex mutex;
        bool locked = false;
        mutex.lock();
        auto fiber = spawn([&] {
            const std::lock_guard lock(mutex);
            locked = true;
        });
        this_fiber::sleep_for(2ms);
        fiber.request_stop();
        this_fiber::sleep_for(2ms);
        EXPECT_FALSE(fiber.is_done());
        mutex.unlock();
        fiber.join();
        EXPECT_TRUE(locked);
    });
}

TEST(Cancellation, ACanceledReadTakesNothingFromTheStream) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        IoSource source(test::make_eventfd());
        auto reader = spawn([&] { return source.wait_readable(soon()).error(); });
        this_fiber::sleep_for(1ms);
        reader.request_stop();
        EXPECT_EQ(reader.join(), std::errc::operation_canceled);
        EXPECT_FALSE(source.is_canceled());
        test::signal(source.fd());
        EXPECT_TRUE(source.wait_readable(soon()));
        EXPECT_NE(test::take_signals(source.fd()), 0U);
    });
}

TEST(Cancellation, OfAnEndedFiberDoesNothing) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto fiber = spawn([] { return 7; });
        ASSERT_TRUE(fiber.wait(soon()));
        fiber.request_stop();
        EXPECT_EQ(fiber.join(), 7);
    });
}

TEST(Cancellation, OfTheJoinerLeavesTheHandleJoinable) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        std::atomic<bool> enough{false};
        auto joiner = spawn([&] {
            auto slow = spawn([&] {
                while (!enough) {
                    this_fiber::yield();
                }
                return 3;
            });
            try {
                (void)slow.join();
                return -1;
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.code(), std::errc::operation_canceled);
            }
            EXPECT_TRUE(slow.joinable());
            enough = true;
            const this_fiber::Shield shield;
            return slow.join();
        });
        this_fiber::sleep_for(1ms);
        joiner.request_stop();
        EXPECT_EQ(joiner.join(), 3);
    });
}

TEST(StopToken, IsTriggeredAndRunsItsCallbacks) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        std::atomic<bool> called{false};
        std::atomic<bool> has_token{false};
        auto fiber = spawn([&] {
            const std::stop_token token = this_fiber::stop_token();
            EXPECT_TRUE(token.stop_possible());
            EXPECT_FALSE(token.stop_requested());
            const std::stop_callback callback(token, [&] { called = true; });
            has_token = true;
            this_fiber::sleep_for(test::kPatience);
            return token.stop_requested();
        });
        while (!has_token) {
            this_fiber::yield();
        }
        fiber.request_stop();
        EXPECT_TRUE(fiber.join());
        EXPECT_TRUE(called);
    });
}

TEST(StopToken, ItsCallbacksHoldUpNoFiberThatEnds) {
    // Fibers that were asked by the same call once had to wait in their end, and their workers with them, for
    // the callbacks of those that came first.
    Runtime runtime({.workers = 2});
    constexpr std::size_t kFibers = 4;
    std::array<std::stop_token, kFibers> tokens;
    std::atomic<std::size_t> ready{0};
    for (std::stop_token& token : tokens) {
        runtime
            .spawn([&] {
                token = this_fiber::stop_token();
                ++ready;
                (void)this_fiber::sleep_for(1h);
            })
            .detach();
    }
    ASSERT_TRUE(test::holds_before(soon(), [&] { return ready == kFibers; }));
    int in_time = 0;
    const auto all_have_ended = [&] {
        in_time +=
            test::holds_before(Deadline::after(2s), [&] { return runtime.stats().alive() == 0; })
                ? 1
                : 0;
    };
    {
        const std::stop_callback first(tokens[0], all_have_ended);
        const std::stop_callback second(tokens[1], all_have_ended);
        const std::stop_callback third(tokens[2], all_have_ended);
        const std::stop_callback fourth(tokens[3], all_have_ended);
        runtime.request_stop();
    }
    EXPECT_EQ(in_time, 4);
}

TEST(StopToken, TakenAfterTheRequestIsTriggered) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto fiber = spawn([] {
            while (!this_fiber::stop_requested()) {
                this_fiber::yield();
            }
            return this_fiber::stop_token().stop_requested();
        });
        fiber.request_stop();
        EXPECT_TRUE(fiber.join());
    });
}

TEST(StopToken, OutsideAFiberHasNoState) {
    EXPECT_FALSE(this_fiber::stop_token().stop_possible());
    EXPECT_FALSE(this_fiber::stop_requested());
}

TEST(TaskDeadline, IsInheritedBySpawnAndNotBySpawnDetached) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        EXPECT_TRUE(this_fiber::deadline().is_never());
        const Deadline outer = Deadline::after(1h);
        const this_fiber::DeadlineScope limit(outer);
        EXPECT_EQ(this_fiber::deadline(), outer);
        {
            const this_fiber::DeadlineScope later(Deadline::after(2h));
            EXPECT_EQ(this_fiber::deadline(), outer);
            const this_fiber::DeadlineScope earlier(Deadline::after(1min));
            EXPECT_LT(this_fiber::deadline(), outer);
        }
        EXPECT_EQ(spawn([] { return this_fiber::deadline(); }).join(), outer);
        Parker done;
        spawn_detached({}, [&] {
            EXPECT_TRUE(this_fiber::deadline().is_never());
            done.unpark();
        });
        EXPECT_TRUE(done.park(soon()));
        const this_fiber::Shield shield;
        EXPECT_TRUE(spawn([] { return this_fiber::deadline().is_never(); }).join());
    });
}

TEST(TaskDeadline, OfAScopeWithinAShieldHolds) {
    // It used to be ignored, as the one around the shield is: clean-up could not be given a time limit.
    const auto clean_up = [] {
        const this_fiber::DeadlineScope passed(Deadline::after(-1s));
        {
            const this_fiber::Shield shield;
            EXPECT_TRUE(this_fiber::deadline().is_never());
            const Deadline limit = Deadline::after(1ms);
            const this_fiber::DeadlineScope limited(limit);
            EXPECT_EQ(this_fiber::sleep_for(1h), std::errc::timed_out);
            {
                const this_fiber::Shield inner;
                EXPECT_FALSE(this_fiber::sleep_for(1ms));
            }
            EXPECT_EQ(this_fiber::deadline(), limit);
        }
        EXPECT_EQ(this_fiber::sleep_for(1h), std::errc::timed_out);
    };
    Runtime runtime({.workers = 1});
    runtime.run(clean_up);
    runtime.run([] {
        const this_fiber::Shield shield;
        const Deadline limit = Deadline::after(1h);
        const this_fiber::DeadlineScope limited(limit);
        EXPECT_EQ(spawn([] { return this_fiber::deadline(); }).join(), limit);
    });
    clean_up();
}

TEST(TaskDeadline, WorksOnAPlainThread) {
    const this_fiber::DeadlineScope limit(Deadline::after(2ms));
    Parker parker;
    EXPECT_EQ(parker.park(soon()).error(), std::errc::timed_out);
    EXPECT_EQ(this_fiber::sleep_for(1h), std::errc::timed_out);
}

}  // namespace
}  // namespace coir
