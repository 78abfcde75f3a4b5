#include "coir/sync/channel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

class ChannelOnWorkers : public testing::TestWithParam<std::size_t> {
protected:
    template <typename F>
    void run(F body) {
        Runtime runtime({.workers = GetParam()});
        runtime.run(std::move(body));
    }
};

INSTANTIATE_TEST_SUITE_P(Workers, ChannelOnWorkers, testing::Values(1, 2, 4));

TEST_P(ChannelOnWorkers, DeliversInTheOrderOfSending) {
    run([] {
        Channel<int> channel(3);
        test::JoinedFiber sender = spawn([&] {
            for (int i = 0; i != 1000; ++i) {
                ASSERT_TRUE(channel.send(i, soon()));
            }
            channel.close();
        });
        for (int i = 0; i != 1000; ++i) {
            ASSERT_EQ(channel.receive(soon()).value(), i);
        }
        EXPECT_EQ(channel.receive(soon()).error(), Errc::channel_closed);
    });
}

TEST_P(ChannelOnWorkers, AValueThatWasNotSentIsKept) {
    run([] {
        Channel<std::unique_ptr<int>> channel(1);
        ASSERT_TRUE(channel.send(std::make_unique<int>(1), soon()));
        auto value = std::make_unique<int>(2);
        EXPECT_EQ(channel.send(std::move(value), Deadline::after(1ms)).error(),
                  std::errc::timed_out);
        ASSERT_NE(value, nullptr);
        channel.close();
        EXPECT_EQ(channel.send(std::move(value), soon()).error(), Errc::channel_closed);
        ASSERT_NE(value, nullptr);
        EXPECT_EQ(*value, 2);
    });
}

TEST_P(ChannelOnWorkers, MayBeDestroyedByTheReceiverOfTheLastValue) {
    run([] {
        for (int round = 0; round != 2000; ++round) {
            auto channel = std::make_unique<Channel<int>>(1);
            Channel<int>& used = *channel;
            auto receiver = spawn({.worker = this_worker::count() - 1}, [&channel] {
                const auto value = channel->receive(soon());
                channel.reset();
                return value.value();
            });
            ASSERT_TRUE(used.send(round, soon()));
            EXPECT_EQ(receiver.join(), round);
        }
    });
}

TEST_P(ChannelOnWorkers, ASenderWaitsWhileItIsFull) {
    run([] {
        Channel<int> channel(2);
        EXPECT_EQ(channel.capacity(), 2U);
        ASSERT_TRUE(channel.send(1, soon()));
        ASSERT_TRUE(channel.send(2, soon()));
        auto sender = spawn([&] { ASSERT_TRUE(channel.send(3, soon())); });
        this_fiber::sleep_for(2ms);
        EXPECT_FALSE(sender.is_done());
        EXPECT_EQ(channel.receive(soon()).value(), 1);
        sender.join();
        EXPECT_EQ(channel.receive(soon()).value(), 2);
        EXPECT_EQ(channel.receive(soon()).value(), 3);
    });
}

TEST_P(ChannelOnWorkers, BothSidesTimeOut) {
    run([] {
        Channel<int> channel(1);
        auto begin = Clock::now();
        EXPECT_EQ(channel.receive(Deadline::after(3ms)).error(), std::errc::timed_out);
        EXPECT_GE(Clock::now() - begin, 3ms);
        ASSERT_TRUE(channel.send(1, soon()));
        begin = Clock::now();
        EXPECT_EQ(channel.send(2, Deadline::after(3ms)).error(), std::errc::timed_out);
        EXPECT_GE(Clock::now() - begin, 3ms);
        EXPECT_EQ(channel.receive(soon()).value(), 1);
        EXPECT_EQ(channel.receive(Deadline::at(Clock::now())).error(), std::errc::timed_out)
            << "what was not sent in time is not there";
    });
}

TEST_P(ChannelOnWorkers, APastDeadlineStillTakesWhatIsThere) {
    run([] {
        Channel<int> channel(1);
        const Deadline past = Deadline::at(Clock::now() - 1s);
        EXPECT_TRUE(channel.send(1, past));
        EXPECT_EQ(channel.receive(past).value(), 1);
        EXPECT_EQ(channel.receive(past).error(), std::errc::timed_out);
    });
}

TEST_P(ChannelOnWorkers, CloseWakesEverybodyAndKeepsWhatIsIn) {
    run([] {
        Channel<int> full(1);
        Channel<int> empty(1);
        ASSERT_TRUE(full.send(1, soon()));
        std::vector<test::JoinedFiber<std::error_code>> waiting;
        for (int i = 0; i != 5; ++i) {
            waiting.push_back(spawn([&] { return full.send(2, soon()).error(); }));
            waiting.push_back(spawn([&] { return empty.receive(soon()).error(); }));
        }
        this_fiber::sleep_for(2ms);
        full.close();
        empty.close();
        for (auto& fiber : waiting) {
            EXPECT_EQ(fiber.join(), Errc::channel_closed);
        }
        EXPECT_EQ(full.send(3, soon()).error(), Errc::channel_closed);
        EXPECT_EQ(full.receive(soon()).value(), 1);
        EXPECT_EQ(full.receive(soon()).error(), Errc::channel_closed);
    });
}

TEST_P(ChannelOnWorkers, ManySendersAndReceiversPassEachValueOnce) {
    run([] {
        constexpr int kSenders = 8;
        constexpr int kReceivers = 6;
        constexpr int kValues = 500;
        Channel<int> channel(4);
        std::vector<std::atomic<int>> received(kSenders * kValues);
        std::vector<test::JoinedFiber<void>> receivers;
        for (int i = 0; i != kReceivers; ++i) {
            receivers.push_back(spawn({.worker = i % this_worker::count()}, [&] {
                std::vector<int> last(kSenders, -1);
                for (;;) {
                    const auto value = channel.receive(soon());
                    if (!value) {
                        EXPECT_EQ(value.error(), Errc::channel_closed);
                        return;
                    }
                    ++received[static_cast<std::size_t>(*value)];
                    const auto sender = static_cast<std::size_t>(*value / kValues);
                    EXPECT_GT(*value, last[sender]);  // each sender's values come in order
                    last[sender] = *value;
                }
            }));
        }
        {
            std::vector<test::JoinedFiber<void>> senders;
            for (int sender = 0; sender != kSenders; ++sender) {
                senders.push_back(spawn({.worker = sender % this_worker::count()}, [&, sender] {
                    for (int i = 0; i != kValues; ++i) {
                        ASSERT_TRUE(channel.send(sender * kValues + i, soon()));
                        if (i % 50 == 0) {
                            this_fiber::sleep_for(10us);
                        }
                    }
                }));
            }
        }
        channel.close();
        receivers.clear();
        for (const auto& count : received) {
            EXPECT_EQ(count, 1);
        }
    });
}

TEST(Channel, PassesValuesThatCanOnlyBeMovedAndDestroysWhatNobodyReceives) {
    const auto counted = std::make_shared<int>(1);
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        struct Owner {
            std::unique_ptr<int> alone;
            std::shared_ptr<int> counted;
        };
        Channel<Owner> channel(4);
        ASSERT_TRUE(channel.send({std::make_unique<int>(5), counted}, soon()));
        ASSERT_TRUE(channel.send({std::make_unique<int>(6), counted}, soon()));
        EXPECT_EQ(*channel.receive(soon()).value().alone, 5);
        EXPECT_EQ(counted.use_count(), 2);
    });
    EXPECT_EQ(counted.use_count(), 1);
}

TEST(Channel, ConnectsPlainThreadsWithFibers) {
    Runtime runtime({.workers = 2});
    Channel<int> questions(2);
    Channel<int> answers(2);
    test::JoinedFiber fiber = runtime.spawn([&] {
        for (;;) {
            const auto question = questions.receive(soon());
            if (!question) {
                answers.close();
                return;
            }
            ASSERT_TRUE(answers.send(*question * 2, soon()));
        }
    });
    std::thread asker([&] {
        for (int i = 0; i != 300; ++i) {
            ASSERT_TRUE(questions.send(i, soon()));
        }
        questions.close();
    });
    for (int i = 0; i != 300; ++i) {
        ASSERT_EQ(answers.receive(soon()).value(), 2 * i);
    }
    EXPECT_EQ(answers.receive(soon()).error(), Errc::channel_closed);
    asker.join();
}

}  // namespace
}  // namespace coir
