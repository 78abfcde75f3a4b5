#include "coir/sync/channel.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;
using Clock = Deadline::Clock;

class ChannelOnWorkers : public test::OnWorkers {};

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

TEST(Channel, TryFunctionsNeverWait) {
    Channel<int> channel(1);
    EXPECT_EQ(channel.try_receive().error(), std::errc::resource_unavailable_try_again);
    EXPECT_TRUE(channel.try_send(1));
    EXPECT_EQ(channel.size(), 1U);
    EXPECT_EQ(channel.try_send(2).error(), std::errc::resource_unavailable_try_again);
    EXPECT_EQ(channel.try_receive().value(), 1);
    EXPECT_EQ(channel.size(), 0U);
    EXPECT_FALSE(channel.is_closed());
    channel.close();
    channel.close();
    EXPECT_TRUE(channel.is_closed());
    EXPECT_EQ(channel.try_receive().error(), Errc::channel_closed);
    EXPECT_EQ(channel.try_send(3).error(), Errc::channel_closed);
}

// A consumer with an endless supply would never end.
TEST(Channel, AFiberThatIsAskedToStopReceivesAndSendsNothingMore) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        Channel<int> channel(2);
        ASSERT_TRUE(channel.send(1, soon()));
        auto fiber = spawn([&] {
            while (!this_fiber::stop_requested()) {
                this_fiber::yield();
            }
            EXPECT_EQ(channel.send(2, soon()).error(), std::errc::operation_canceled);
            EXPECT_EQ(channel.receive(soon()).error(), std::errc::operation_canceled);
        });
        fiber.request_stop();
        fiber.join();
        EXPECT_EQ(channel.size(), 1U);
    });
}

TEST(Channel, ServesThoseWhoWaitInTheirOrder) {
    Runtime runtime({.workers = 1});
    Channel<int> channel(1);
    ASSERT_TRUE(channel.try_send(0));
    std::vector<test::JoinedFiber<Result<void>>> senders;
    for (int i = 1; i != 4; ++i) {
        senders.push_back(runtime.spawn([&channel, i] { return channel.send(i, soon()); }));
        ASSERT_TRUE(test::wait_for_waiting(runtime, "a channel, to send", i));
    }
    EXPECT_EQ(channel.try_receive().value(), 0);
    EXPECT_EQ(channel.try_send(9).error(), std::errc::resource_unavailable_try_again)
        << "the room is that of who waited for it";
    for (int i = 1; i != 4; ++i) {
        EXPECT_EQ(channel.receive(soon()).value(), i);
    }
    for (auto& sender : senders) {
        EXPECT_TRUE(sender.join());
    }
}

TEST(Channel, ALoopReceivesUntilItIsClosedAndEmpty) {
    Runtime runtime({.workers = 2});
    Channel<std::unique_ptr<int>> channel(2);
    auto summing = runtime.spawn([&] {
        int sum = 0;
        for (std::unique_ptr<int>& value : channel) {
            sum += *value;
        }
        return sum;
    });
    for (int i = 1; i != 101; ++i) {
        ASSERT_TRUE(channel.send(std::make_unique<int>(i), soon()));
    }
    channel.close();
    EXPECT_EQ(summing.join(), 5050);
}

TEST(Channel, ALoopEndsWhenItsFiberIsAskedToStop) {
    Runtime runtime({.workers = 1});
    Channel<int> channel(2);
    auto fiber = runtime.spawn([&] {
        for (int value : channel) {
            ADD_FAILURE() << value;
        }
        return this_fiber::stop_requested();
    });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a channel, to receive"));
    fiber.request_stop();
    EXPECT_TRUE(fiber.join());
}

TEST(Rendezvous, ASendEndsWhenTheValueHasBeenTaken) {
    Runtime runtime({.workers = 1});
    Channel<std::unique_ptr<int>> channel(0);
    auto value = std::make_unique<int>(1);
    EXPECT_EQ(channel.capacity(), 0U);
    EXPECT_EQ(channel.try_send(std::move(value)).error(),
              std::errc::resource_unavailable_try_again);
    EXPECT_EQ(channel.send(std::move(value), Deadline::after(1ms)).error(), std::errc::timed_out);
    ASSERT_NE(value, nullptr);
    auto sender = runtime.spawn([&] { return channel.send(std::move(value), soon()); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a channel, to send"));
    EXPECT_EQ(channel.size(), 0U);
    EXPECT_EQ(*channel.try_receive().value(), 1);
    EXPECT_TRUE(sender.join());
    auto receiver = runtime.spawn([&] { return *channel.receive(soon()).value(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a channel, to receive"));
    EXPECT_TRUE(channel.try_send(std::make_unique<int>(2)));
    EXPECT_EQ(receiver.join(), 2);
}

TEST(Rendezvous, CloseLeavesTheSenderItsValue) {
    Runtime runtime({.workers = 1});
    Channel<std::unique_ptr<int>> channel(0);
    auto value = std::make_unique<int>(1);
    auto sender = runtime.spawn([&] { return channel.send(std::move(value), soon()).error(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "a channel, to send"));
    channel.close();
    EXPECT_EQ(sender.join(), Errc::channel_closed);
    EXPECT_NE(value, nullptr);
    EXPECT_EQ(channel.receive(soon()).error(), Errc::channel_closed);
}

TEST(UnboundedChannel, TakesWhatIsSentWithoutAReceiverAndKeepsItsOrder) {
    UnboundedChannel<int> channel;
    int next = 0;
    // Backlogs that grow and shrink across many chunks.
    int sent = 0;
    for (const int backlog : {10, 1000, 3, 20'000, 0, 7, 300}) {
        for (; sent - next < backlog; ++sent) {
            ASSERT_TRUE(channel.send(sent));
        }
        for (; sent - next > backlog; ++next) {
            ASSERT_EQ(channel.try_receive().value(), next);
        }
        EXPECT_EQ(channel.size(), static_cast<std::size_t>(backlog));
    }
    channel.close();
    EXPECT_EQ(channel.send(0).error(), Errc::channel_closed);
    for (int value : channel) {
        ASSERT_EQ(value, next++);
    }
    EXPECT_EQ(next, sent);
}

TEST(UnboundedChannel, DestroysWhatNobodyReceives) {
    const auto counted = std::make_shared<int>(1);
    {
        UnboundedChannel<std::shared_ptr<int>> channel;
        for (int i = 0; i != 1000; ++i) {
            ASSERT_TRUE(channel.send(counted));
        }
        EXPECT_EQ(counted.use_count(), 1001);
        (void)channel.try_receive();
    }
    EXPECT_EQ(counted.use_count(), 1);
}

TEST(UnboundedChannel, GivesItsMemoryBackWhenItHasBeenRead) {
    struct Block {
        char bytes[256];
    };
    UnboundedChannel<Block> channel;
    const auto used = [] { return mallinfo2().uordblks; };
    const std::size_t before = used();
    for (int i = 0; i != 10'000; ++i) {
        ASSERT_TRUE(channel.send(Block{}));
    }
    const std::size_t full = used();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizer's allocator does not tell what is in use";
#endif
    EXPECT_GT(full, before + 10'000 * sizeof(Block));
    for (int i = 0; i != 10'000; ++i) {
        ASSERT_TRUE(channel.try_receive());
    }
    EXPECT_LT(used(), before + 16 * 1024);
}

TEST(UnboundedChannel, TakesFromManyFibersAndPlainThreadsForOneReceiver) {
    Runtime runtime({.workers = 2});
    UnboundedChannel<int> channel;
    const auto send_all = [&] {
        for (int i = 0; i != 1000; ++i) {
            ASSERT_TRUE(channel.send(1));
        }
    };
    std::vector<test::JoinedFiber<void>> senders;
    for (int i = 0; i != 4; ++i) {
        senders.push_back(runtime.spawn(send_all));
    }
    std::thread thread(send_all);
    for (int i = 0; i != 5000; ++i) {
        ASSERT_EQ(channel.receive(soon()).value(), 1);
    }
    thread.join();
    EXPECT_EQ(channel.size(), 0U);
}

}  // namespace
}  // namespace coir
