#include "coir/runtime/select.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <new>
#include <thread>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/pipe.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/runtime/ticker.hpp"
#include "runtime/descriptors.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

TEST(Select, CompletesTheArmThatIsReadyAndCallsOnlyItsHandler) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        IoSource first(test::make_eventfd());
        IoSource second(test::make_eventfd());
        test::signal(second.fd());
        int calls_of_first = 0;
        int calls_of_second = 0;
        const auto chosen = select_until(
            soon(), on_readable(first, [&](Result<void>) { ++calls_of_first; }),
            on_readable(second, [&](Result<void> ready) { calls_of_second += ready ? 1 : 100; }));
        ASSERT_TRUE(chosen);
        EXPECT_EQ(*chosen, 1U);
        EXPECT_EQ(calls_of_first, 0);
        EXPECT_EQ(calls_of_second, 1);
    });
}

TEST(Select, WaitsForTheFirstOfAJoinADescriptorAndADeadline) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        for (int which = 0; which != 3; ++which) {
            IoSource source(test::make_eventfd());
            auto slow = spawn([&] { this_fiber::sleep_for(which == 0 ? 2ms : 1h); });
            test::JoinedFiber signaller = spawn([&] {
                if (which == 1) {
                    this_fiber::sleep_for(2ms);
                    test::signal(source.fd());
                }
            });
            const auto chosen =
                select_until(soon(), on_join(slow), on_readable(source),
                             on_deadline(which == 2 ? Deadline::after(2ms) : Deadline::never()));
            ASSERT_TRUE(chosen);
            EXPECT_EQ(*chosen, static_cast<std::size_t>(which));
            signaller.join();
        }
    });
}

TEST(Select, EndsAtItsOwnDeadlineWithTimedOut) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        IoSource source(test::make_eventfd());
        const auto begin = Deadline::Clock::now();
        const auto chosen = select_until(Deadline::after(3ms), on_readable(source));
        EXPECT_EQ(chosen.error(), std::errc::timed_out);
        EXPECT_GE(Deadline::Clock::now() - begin, 3ms);
    });
}

TEST(Select, EndsWithOperationCanceledWhenItsFiberIsAskedToStop) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        IoSource source(test::make_eventfd());
        auto waiting = spawn([&] { return select(on_readable(source)).error(); });
        this_fiber::sleep_for(2ms);
        waiting.request_stop();
        EXPECT_EQ(waiting.join(), std::errc::operation_canceled);
        test::signal(source.fd());
        EXPECT_TRUE(source.wait_readable(soon()));
    });
}

// The arm that loses must not use up the edge that came at the same time.
TEST(Select, AReadyDescriptorThatWasNotChosenIsStillReady) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        for (int round = 0; round != 300; ++round) {
            IoSource first(test::make_eventfd());
            IoSource second(test::make_eventfd());
            test::JoinedFiber signaller = spawn({.worker = round % 2}, [&] {
                this_fiber::yield();
                test::signal(first.fd());
                test::signal(second.fd());
            });
            const auto chosen = select_until(soon(), on_readable(first), on_readable(second));
            ASSERT_TRUE(chosen);
            IoSource& other = *chosen == 0 ? second : first;
            EXPECT_TRUE(other.wait_readable(soon()));
            signaller.join();
        }
    });
}

/// Cannot be completed, and throws when it is tried for the second time.
class ThrowingArm final : public detail::SelectArm {
public:
    [[nodiscard]] bool try_now() override {
        if (++tries_ == 2) {
            throw std::bad_alloc();
        }
        return false;
    }
    [[nodiscard]] bool enroll(detail::Selection&) override { return false; }
    [[nodiscard]] bool withdraw() noexcept override { return false; }
    void pass_on() noexcept override {}
    void finish() override {}

private:
    int tries_ = 0;
};

TEST(Select, ADescriptorIsStillReadyWhenAnotherArmThrows) {
    Runtime runtime({.workers = 1});
    int thrown = 0;
    runtime.run([&thrown] {
        for (int round = 0; round != 10; ++round) {  // each arm comes first in half of them
            IoSource source(test::make_eventfd());
            test::JoinedFiber signaller = spawn([&] { test::signal(source.fd()); });
            auto readable = on_readable(source);
            ThrowingArm throwing;
            const std::array<detail::SelectArm*, 2> arms{&throwing, &readable};
            try {
                EXPECT_TRUE(detail::select_among(arms, soon()));
            } catch (const std::bad_alloc&) {
                ++thrown;
                EXPECT_TRUE(source.wait_readable(soon()));
            }
            signaller.join();
        }
    });
    EXPECT_GT(thrown, 0);
}

TEST(Select, WaitsForATickerAndAPipe) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        auto ticker = Ticker::start(5ms).value();
        auto never = Ticker::start(1h).value();
        auto pipe = Pipe::create().value();
        EXPECT_EQ(
            select_until(soon(), on_readable(pipe.reader.source()), on_readable(ticker.source()))
                .value(),
            1U);
        EXPECT_GE(ticker.tick(soon()).value(), 1U);
        EXPECT_EQ(
            select_until(soon(), on_readable(never.source()), on_writable(pipe.writer.source()))
                .value(),
            1U);
        const auto text = std::as_bytes(std::span("x", 1));
        ASSERT_TRUE(pipe.writer.write_all(text, soon()));
        EXPECT_EQ(
            select_until(soon(), on_readable(never.source()), on_readable(pipe.reader.source()))
                .value(),
            1U);
    });
}

TEST(Select, TellsOfACanceledSource) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        IoSource source(test::make_eventfd());
        test::JoinedFiber canceler = spawn([&] {
            this_fiber::sleep_for(2ms);
            source.cancel();
        });
        std::error_code seen;
        ASSERT_TRUE(
            select_until(soon(), on_readable(source, [&](auto ready) { seen = ready.error(); })));
        EXPECT_EQ(seen, std::errc::operation_canceled);
        canceler.join();
    });
}

TEST(Select, IsNotToldByTheTimerOfAnEarlierWait) {
    // The timer of a wait that has ended early stays where it is. At the end of a task-wide deadline it once
    // told the select that there was something to read.
    Runtime runtime({.workers = 1});
    runtime.run([] {
        IoSource source(test::make_eventfd());
        const Deadline end = Deadline::after(5ms);
        test::signal(source.fd());
        ASSERT_TRUE(source.wait_readable(end));
        (void)test::take_signals(source.fd());
        auto signaller = spawn([&] { test::signal(source.fd()); });
        ASSERT_TRUE(source.wait_readable(end));
        (void)test::take_signals(source.fd());
        signaller.join();
        const this_fiber::DeadlineScope limit(end);
        EXPECT_EQ(select(on_readable(source)).error(), std::errc::timed_out);
    });
}

/// Asks the selecting fiber to stop, just when it finds nothing that is ready.
class StoppingArm final : public detail::SelectArm {
public:
    explicit StoppingArm(FiberHandle<void>& fiber) : fiber_(fiber) {}

    bool try_now() override {
        fiber_.request_stop();
        return false;
    }
    bool enroll(detail::Selection&) override { return false; }
    bool withdraw() noexcept override { return false; }
    void pass_on() noexcept override {}
    void finish() override {}

private:
    FiberHandle<void>& fiber_;
};

TEST(Select, CompletesNoArmIfTheFiberIsAskedToStopBeforeItWaits) {
    // The arm of a descriptor was once completed with operation_canceled, as if the descriptor had been.
    Runtime runtime({.workers = 1});
    runtime.run([] {
        IoSource source(test::make_eventfd());
        FiberHandle<void> selecting;
        selecting = spawn([&] {
            int calls = 0;
            EXPECT_EQ(
                select(StoppingArm(selecting), on_readable(source, [&](auto) { ++calls; })).error(),
                std::errc::operation_canceled);
            EXPECT_EQ(calls, 0);
        });
        (void)selecting.wait(soon());
    });
}

TEST(Select, ToleratesThatATimerTakesItOutOfASlotByMistake) {
    // The timer puts it back. withdraw() once saw it gone, and waited to be told for good.
    detail::Selection selection;
    detail::SlotArm arm;
    std::atomic<std::uintptr_t> slot{0};
    ASSERT_FALSE(arm.enroll(slot, selection));
    const std::uintptr_t taken = slot.exchange(0);
    std::thread timer([&] {
        std::this_thread::sleep_for(2ms);
        slot = taken;
    });
    EXPECT_FALSE(arm.withdraw());
    EXPECT_EQ(slot, 0U);
    timer.join();
}

TEST(Select, BeginsWithAnotherArmEachTimeSoThatNoneStarves) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        auto first = spawn([] {});
        auto second = spawn([] {});
        this_fiber::sleep_for(1ms);
        int chosen[2] = {};
        for (int i = 0; i != 100; ++i) {
            ++chosen[*select(on_join(first), on_join(second))];
        }
        EXPECT_EQ(chosen[0], 50);
        EXPECT_EQ(chosen[1], 50);
        first.join();
        second.join();
    });
}

TEST(Select, WorksOnAPlainThread) {
    Runtime runtime({.workers = 1});
    auto fiber = runtime.spawn([] { this_fiber::sleep_for(2ms); });
    EXPECT_EQ(*select_until(soon(), on_join(fiber)), 0U);
    fiber.join();
    EXPECT_EQ(*select(on_deadline(Deadline::after(1ms))), 0U);
    IoSource source(test::make_eventfd());
    std::error_code seen;
    ASSERT_TRUE(select(on_readable(source, [&](auto ready) { seen = ready.error(); })));
    EXPECT_EQ(seen, Errc::not_a_fiber);
}

}  // namespace
}  // namespace coir
