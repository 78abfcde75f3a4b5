#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/sync/channel.hpp"
#include "coir/sync/condition_variable.hpp"
#include "coir/sync/mutex.hpp"
#include "runtime/descriptors.hpp"
#include "stress/seed.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// A fiber that is woken from outside can run, end and let its runtime be destroyed before the waker has
// returned from the call that woke it. The waker must not touch the runtime any more then.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

constexpr int kRounds = 1500;

/// Varies by a few microseconds what happens first.
void spin(test::SmallRandom& random) {
    for (int i = random.below(2000); i != 0; --i) {
        asm volatile("");
    }
}

TEST(ForeignWaker, MayOutliveTheRuntimeWhoseFiberItCancels) {
    test::SmallRandom random(test::make_seed(), 0);
    for (int round = 0; round != kRounds; ++round) {
        auto source = std::make_shared<IoSource>(test::make_eventfd());
        std::thread canceler;
        {
            Runtime runtime({.workers = 1});
            auto reader = runtime.spawn([source] { return source->wait_readable(soon()).error(); });
            spin(random);
            canceler = std::thread([source] { source->cancel(); });
            EXPECT_EQ(reader.join(), std::errc::operation_canceled);
        }
        canceler.join();
    }
}

TEST(ForeignWaker, MayOutliveTheRuntimeWhoseFiberJoinsItsOwn) {
    Runtime other({.workers = 2});
    for (int round = 0; round != kRounds; ++round) {
        Runtime runtime({.workers = 1});
        EXPECT_EQ(runtime.run([&] { return other.run([round] { return round; }); }), round);
    }
}

TEST(ForeignWaker, MayOutliveTheRuntimeWhoseFiberItGivesTheMutex) {
    test::SmallRandom random(test::make_seed(), 0);
    for (int round = 0; round != kRounds; ++round) {
        auto mutex = std::make_shared<Mutex>();
        auto is_held = std::make_shared<std::atomic<bool>>(false);
        auto may_go = std::make_shared<std::atomic<bool>>(false);
        std::thread holder([=] {
            const std::lock_guard lock(*mutex);
            *is_held = true;
            may_go->wait(false);
        });
        while (!*is_held) {
            std::this_thread::yield();
        }
        {
            Runtime runtime({.workers = 1});
            auto waiter = runtime.spawn([mutex] { const std::lock_guard lock(*mutex); });
            spin(random);
            *may_go = true;
            may_go->notify_one();
            waiter.join();
        }
        holder.join();
    }
}

TEST(ForeignWaker, MayOutliveTheRuntimeWhoseFiberItSendsTo) {
    test::SmallRandom random(test::make_seed(), 0);
    for (int round = 0; round != kRounds; ++round) {
        auto channel = std::make_shared<Channel<int>>(1);
        std::thread sender;
        {
            Runtime runtime({.workers = 1});
            auto receiver = runtime.spawn([channel] { return channel->receive(soon()).value(); });
            spin(random);
            sender = std::thread([channel, round] { ASSERT_TRUE(channel->send(round, soon())); });
            EXPECT_EQ(receiver.join(), round);
        }
        sender.join();
    }
}

TEST(ForeignWaker, MayOutliveThePlainThreadThatItNotifies) {
    Runtime runtime({.workers = 1});
    for (int round = 0; round != kRounds; ++round) {
        auto mutex = std::make_shared<Mutex>();
        auto changed = std::make_shared<ConditionVariable>();
        auto told = std::make_shared<bool>(false);
        std::thread waiter([=] {
            std::unique_lock lock(*mutex);
            EXPECT_TRUE(changed->wait_until(lock, soon(), [&] { return *told; }));
        });
        test::JoinedFiber notifier = runtime.spawn([=] {
            {
                const std::lock_guard lock(*mutex);
                *told = true;
            }
            changed->notify_all();
        });
        waiter.join();
    }
}

}  // namespace
}  // namespace coir
