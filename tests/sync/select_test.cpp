#include "coir/sync/select.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/channel.hpp"
#include "coir/sync/future.hpp"
#include "support/joined_fiber.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

constexpr const char* kSelecting = "one of several (select)";

TEST(SelectSync, ReceivesFromTheChannelThatHasSomething) {
    Channel<int> first(1);
    Channel<std::string> second(1);
    ASSERT_TRUE(second.try_send("two"));
    std::string got;
    const auto chosen =
        select_until(soon(), on_receive(first, [](Result<int>) { ADD_FAILURE(); }),
                     on_receive(second, [&](Result<std::string> text) { got = text.value(); }));
    EXPECT_EQ(chosen.value(), 1U);
    EXPECT_EQ(got, "two");
}

TEST(SelectSync, AnArmThatLosesTakesAndLosesNothing) {
    Runtime runtime({.workers = 1});
    Channel<std::unique_ptr<int>> quiet(0);
    Channel<int> busy(0);
    Semaphore semaphore(0);
    auto kept = std::make_unique<int>(7);
    auto fiber = runtime.spawn([&] {
        return select_until(
            soon(), on_send(quiet, std::move(kept), [](Result<void>) { ADD_FAILURE(); }),
            on_acquire(semaphore, 1),
            on_receive(busy, [](Result<int> value) { EXPECT_EQ(value.value(), 1); }));
    });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kSelecting));
    ASSERT_TRUE(busy.send(1, soon()));
    EXPECT_EQ(fiber.join().value(), 2U);
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(*kept, 7);
    EXPECT_EQ(quiet.try_receive().error(), std::errc::resource_unavailable_try_again);
    semaphore.release();
    EXPECT_TRUE(semaphore.try_acquire());
}

TEST(SelectSync, SeesThatAChannelIsClosed) {
    Runtime runtime({.workers = 1});
    for (const bool closes_in : {true, false}) {
        Channel<int> in(1);
        Channel<int> out(0);
        std::error_code received;
        std::error_code sent;
        auto fiber = runtime.spawn([&] {
            return select_until(
                soon(), on_receive(in, [&](Result<int> value) { received = value.error(); }),
                on_send(out, 1, [&](Result<void> done) { sent = done.error(); }));
        });
        ASSERT_TRUE(test::wait_for_waiting(runtime, kSelecting));
        (closes_in ? in : out).close();
        EXPECT_EQ(fiber.join().value(), closes_in ? 0U : 1U);
        EXPECT_EQ(closes_in ? received : sent, Errc::channel_closed);
        EXPECT_FALSE(closes_in ? sent : received);
    }
    Channel<int> closed(1);
    closed.close();
    std::error_code sent;
    EXPECT_TRUE(select(on_send(closed, 1, [&](Result<void> done) { sent = done.error(); })));
    EXPECT_EQ(sent, Errc::channel_closed);
}

TEST(SelectSync, TwoCanMeetOnAChannelWithoutCapacity) {
    Runtime runtime({.workers = 2});
    Channel<int> channel(0);
    Channel<int> never(0);
    constexpr int kRounds = 2000;
    long sum = 0;
    auto receiver = runtime.spawn([&] {
        for (int round = 0; round != kRounds; ++round) {
            EXPECT_TRUE(select_until(
                soon(), on_receive(never, [](Result<int>) { ADD_FAILURE(); }),
                on_receive(channel, [&](Result<int> value) { sum += value.value(); })));
        }
    });
    auto sender = runtime.spawn([&] {
        for (int round = 0; round != kRounds; ++round) {
            EXPECT_TRUE(select_until(
                soon(), on_send(channel, round, [](Result<void> sent) { sent.value(); }),
                on_receive(never, [](Result<int>) { ADD_FAILURE(); })));
        }
    });
    sender.join();
    receiver.join();
    EXPECT_EQ(sum, long{kRounds} * (kRounds - 1) / 2);
}

TEST(SelectSync, DoesNotExchangeWithItself) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        Channel<int> channel(0);
        EXPECT_EQ(select_until(Deadline::after(2ms),
                               on_receive(channel, [](Result<int>) { ADD_FAILURE(); }),
                               on_send(channel, 1, [](Result<void>) { ADD_FAILURE(); }))
                      .error(),
                  std::errc::timed_out);
    });
}

TEST(SelectSync, WaitsForFuturesAndEvents) {
    Runtime runtime({.workers = 1});
    Promise<int> promise;
    auto future = promise.get_future();
    Event event;
    auto fiber = runtime.spawn([&] {
        int got = 0;
        EXPECT_TRUE(select_until(soon(), on_set(event, [] { ADD_FAILURE(); }),
                                 on_ready(future, [&] { got = future.get(); })));
        return got;
    });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kSelecting));
    promise.set_value(9);
    EXPECT_EQ(fiber.join(), 9);
    event.set();
    EXPECT_EQ(select(on_set(event)).value(), 0U);
}

TEST(SelectSync, APulseOfAnEventIsNotMissed) {
    Runtime runtime({.workers = 1});
    Event event;
    auto fiber = runtime.spawn([&] { return select_until(soon(), on_set(event)); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kSelecting));
    event.set();
    event.reset();
    EXPECT_TRUE(fiber.join());
}

TEST(SelectSync, AnAcquireArmKeepsItsPlaceAmongThoseWhoWait) {
    Runtime runtime({.workers = 1});
    Semaphore semaphore(0);
    auto selecting = runtime.spawn([&] { return select_until(soon(), on_acquire(semaphore, 2)); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, kSelecting));
    auto waiting = runtime.spawn([&] { semaphore.acquire(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a semaphore"));
    semaphore.release();
    EXPECT_FALSE(waiting.is_done());
    EXPECT_FALSE(selecting.is_done());
    selecting.request_stop();
    EXPECT_EQ(selecting.join().error(), std::errc::operation_canceled);
    waiting.join();
}

TEST(SelectSync, SendsToAnUnboundedChannelAtOnce) {
    UnboundedChannel<int> channel;
    EXPECT_TRUE(select(on_send(channel, 4)));
    EXPECT_EQ(channel.try_receive().value(), 4);
}

TEST(SelectSync, OfAPlainThreadMeetsThatOfAFiber) {
    Runtime runtime({.workers = 1});
    Channel<int> there(0);
    Channel<int> back(0);
    auto fiber = runtime.spawn([&] {
        for (int i = 0; i != 300; ++i) {
            int got = -1;
            EXPECT_TRUE(
                select_until(soon(), on_receive(there, [&](Result<int> value) { got = *value; })));
            EXPECT_TRUE(select_until(soon(), on_send(back, got + 1)));
        }
    });
    for (int i = 0; i != 300; ++i) {
        EXPECT_TRUE(select_until(soon(), on_send(there, i)));
        EXPECT_TRUE(select_until(
            soon(), on_receive(back, [&](Result<int> value) { EXPECT_EQ(*value, i + 1); })));
    }
    fiber.join();
}

}  // namespace
}  // namespace coir
