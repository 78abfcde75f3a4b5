#include "sync/every_wait.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "stress/seed.hpp"
#include "support/joined_fiber.hpp"
#include "sync/on_workers.hpp"

// What holds for each wait of this layer alike.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using test::WaitCase;
using test::Waited;
using Clock = Deadline::Clock;

class EveryWait : public testing::TestWithParam<WaitCase> {
protected:
    [[nodiscard]] std::unique_ptr<Waited> make() const { return GetParam().make(); }
    [[nodiscard]] bool is_waiting(const Runtime& runtime) const {
        return test::wait_for_waiting(runtime, GetParam().what);
    }
};

class EveryPlainWait : public EveryWait {};

std::string name_of(const testing::TestParamInfo<WaitCase>& info) {
    return info.param.name;
}

std::vector<WaitCase> plain_waits() {
    std::vector<WaitCase> cases = test::every_wait();
    std::erase_if(cases, [](const WaitCase& wait) { return !wait.has_plain_wait; });
    return cases;
}

INSTANTIATE_TEST_SUITE_P(Sync, EveryWait, testing::ValuesIn(test::every_wait()), name_of);
INSTANTIATE_TEST_SUITE_P(Sync, EveryPlainWait, testing::ValuesIn(plain_waits()), name_of);

TEST_P(EveryWait, OfAFiberIsEndedByAPlainThread) {
    Runtime runtime({.workers = 1});
    const auto waited = make();
    auto fiber = runtime.spawn([&] { return waited->wait_until(soon()); });
    ASSERT_TRUE(is_waiting(runtime));
    waited->let_go();
    EXPECT_TRUE(fiber.join());
}

TEST_P(EveryWait, OfAPlainThreadIsEndedByAFiber) {
    Runtime runtime({.workers = 1});
    std::unique_ptr<Waited> waited;
    std::atomic<bool> is_made{false};
    test::JoinedFiber fiber = runtime.spawn([&] {
        waited = make();
        is_made = true;
        this_fiber::sleep_for(2ms);  // most often the thread sleeps by then
        waited->let_go();
    });
    while (!is_made) {
        std::this_thread::yield();
    }
    EXPECT_TRUE(waited->wait_until(soon()));
    fiber.join();
}

TEST_P(EveryWait, OfAFiberIsEndedByAFiberOfTheSameWorker) {
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        const auto waited = make();
        auto fiber = spawn([&] { return waited->wait_until(soon()); });
        this_fiber::yield();
        waited->let_go();
        EXPECT_TRUE(fiber.join());
    });
}

TEST_P(EveryWait, TimesOutAtItsDeadlineAndCanBeginAgain) {
    Runtime runtime({.workers = 1});
    const auto waited = make();
    std::atomic<bool> has_ended{false};
    auto fiber = runtime.spawn([&] {
        const auto begin = Clock::now();
        EXPECT_EQ(waited->wait_until(Deadline::after(2ms)).error(), std::errc::timed_out);
        EXPECT_GE(Clock::now() - begin, 2ms);
        EXPECT_EQ(waited->wait_until(Deadline::at(Clock::now() - 1s)).error(),
                  std::errc::timed_out);
        has_ended = true;
        return waited->wait_until(soon());
    });
    ASSERT_TRUE(test::holds_before(soon(), [&] { return has_ended.load(); }));
    ASSERT_TRUE(is_waiting(runtime));
    waited->let_go();
    EXPECT_TRUE(fiber.join());
}

TEST_P(EveryWait, OfAPlainThreadTimesOutAtItsDeadline) {
    Runtime runtime({.workers = 1});
    std::unique_ptr<Waited> waited;
    std::atomic<bool> is_made{false};
    std::atomic<bool> is_over{false};
    test::JoinedFiber fiber = runtime.spawn([&] {
        waited = make();
        is_made = true;
        while (!is_over) {
            this_fiber::sleep_for(100us);
        }
        waited->let_go();
    });
    while (!is_made) {
        std::this_thread::yield();
    }
    const auto begin = Clock::now();
    EXPECT_EQ(waited->wait_until(Deadline::after(2ms)).error(), std::errc::timed_out);
    EXPECT_GE(Clock::now() - begin, 2ms);
    is_over = true;
    EXPECT_TRUE(waited->wait_until(soon()));
    fiber.join();
}

TEST_P(EveryWait, EndsAtTheTaskWideDeadline) {
    Runtime runtime({.workers = 1});
    const auto waited = make();
    std::atomic<bool> has_ended{false};
    auto fiber = runtime.spawn([&] {
        {
            const this_fiber::DeadlineScope scope(Deadline::after(2ms));
            EXPECT_EQ(waited->wait_until(soon()).error(), std::errc::timed_out);
        }
        has_ended = true;
        waited->wait_until(soon()).value();
    });
    ASSERT_TRUE(test::holds_before(soon(), [&] { return has_ended.load(); }));
    waited->let_go();
    fiber.join();
}

TEST_P(EveryWait, EndsWithOperationCanceledWhenItsFiberIsAskedToStop) {
    Runtime runtime({.workers = 1});
    const auto waited = make();
    std::atomic<bool> has_ended{false};
    auto fiber = runtime.spawn([&] {
        const std::error_code error = waited->wait_until(Deadline::never()).error();
        has_ended = true;
        const this_fiber::Shield shield;
        EXPECT_TRUE(waited->wait_until(soon())) << "what was canceled can begin again";
        return error;
    });
    ASSERT_TRUE(is_waiting(runtime));
    fiber.request_stop();
    ASSERT_TRUE(test::holds_before(soon(), [&] { return has_ended.load(); }));
    waited->let_go();
    EXPECT_EQ(fiber.join(), std::errc::operation_canceled);
}

TEST_P(EveryPlainWait, IgnoresRequestsToStop) {
    Runtime runtime({.workers = 1});
    const auto waited = make();
    auto fiber = runtime.spawn([&] { waited->wait(); });
    ASSERT_TRUE(is_waiting(runtime));
    fiber.request_stop();
    EXPECT_EQ(fiber.wait(Deadline::after(2ms)).error(), std::errc::timed_out);
    waited->let_go();
    fiber.join();
}

TEST_P(EveryPlainWait, OfAPlainThreadIsEndedByAFiber) {
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        const auto waited = make();
        std::atomic<bool> is_over{false};
        std::thread thread([&] {
            waited->wait();
            is_over = true;
        });
        this_fiber::sleep_for(1ms);
        EXPECT_FALSE(is_over);
        waited->let_go();
        thread.join();
    });
}

TEST_P(EveryWait, LetsWhoWasWokenDestroyItAtOnce) {
    test::SmallRandom random(test::make_seed(), 0);
    Runtime runtime({.workers = 2});
    for (int round = 0; round != 300; ++round) {
        std::unique_ptr<Waited> waited = make();
        Waited& used = *waited;
        const auto wait_and_destroy = [&waited] {
            EXPECT_TRUE(waited->wait_until(soon()));
            waited.reset();
        };
        std::thread thread;
        FiberHandle<void> fiber;
        if (round % 3 == 0) {
            thread = std::thread(wait_and_destroy);
        } else {
            fiber = runtime.spawn(wait_and_destroy);
        }
        for (int i = random.below(3000); i != 0; --i) {
            asm volatile("");
        }
        used.let_go();
        if (thread.joinable()) {
            thread.join();
        } else {
            fiber.join();
        }
    }
}

TEST_P(EveryWait, LosesNoWakeUpToADeadlineOrARequestToStop) {
    // What was let go is there: whoever gave up in that moment finds it afterwards, or had it.
    test::SmallRandom random(test::make_seed(), 0);
    Runtime runtime({.workers = 2});
    int given_up = 0;
    for (int round = 0; round != 300; ++round) {
        const auto waited = make();
        auto fiber = runtime.spawn([&, patience = random.below(150) * 1us] {
            const bool is_over = waited->wait_until(Deadline::after(patience)).has_value();
            const this_fiber::Shield shield;
            EXPECT_TRUE(is_over || waited->wait_until(soon()));
            return is_over;
        });
        for (int i = random.below(60'000); i != 0; --i) {
            asm volatile("");
        }
        if (round % 2 == 0) {
            fiber.request_stop();
        }
        waited->let_go();
        given_up += fiber.join() ? 0 : 1;
    }
    std::cout << "gave up in " << given_up << " of 300 rounds" << std::endl;
}

}  // namespace
}  // namespace coir
