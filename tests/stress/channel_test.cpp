#include "coir/sync/channel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/select.hpp"
#include "stress/crowd.hpp"
#include "support/patience.hpp"

// Each value that was sent is received once, whatever ends the waits in between.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::Crowd;
using test::SmallRandom;
using test::soon;

Deadline brief(SmallRandom& random) {
    return Deadline::after(random.below(200) * 1us);
}

constexpr int kValues = 2000;  // of each

/// What became of each value.
class Ledger final {
public:
    using Value = std::unique_ptr<int>;

    [[nodiscard]] static Value make(int who, int number) {
        return std::make_unique<int>(who * kValues + number);
    }
    void was_sent(int who, int number) {
        sent_[static_cast<std::size_t>(who * kValues + number)] = true;
        ++sent_count_;
    }
    void was_received(const Value& value) {
        ASSERT_NE(value, nullptr);
        ++received_[static_cast<std::size_t>(*value)];
        ++received_count_;
    }
    [[nodiscard]] int sent_count() const { return sent_count_; }
    void expect_each_once() const {
        int wrong = 0;
        for (std::size_t i = 0; i != received_.size(); ++i) {
            wrong += received_[i] == (sent_[i] ? 1 : 0) ? 0 : 1;
        }
        EXPECT_EQ(wrong, 0)
            << "values that were lost, doubled, or received though their send failed";
        EXPECT_EQ(sent_count_, received_count_);
    }

private:
    std::vector<std::atomic<bool>> sent_ = std::vector<std::atomic<bool>>(Crowd::kAll * kValues);
    std::vector<std::atomic<int>> received_ = std::vector<std::atomic<int>>(Crowd::kAll * kValues);
    std::atomic<int> sent_count_{0};
    std::atomic<int> received_count_{0};
};

template <typename Channel>
Result<void> send_somehow(Channel& channel, Ledger::Value& value, SmallRandom& random) {
    if constexpr (requires { channel.send(std::move(value)); }) {
        return channel.send(std::move(value));
    } else {
        switch (random.below(4)) {
            case 0: return channel.try_send(std::move(value));
            case 1: {
                Result<void> outcome;
                const auto chosen = select_until(
                    brief(random),
                    on_send(channel, std::move(value), [&](Result<void> sent) { outcome = sent; }));
                return chosen ? outcome : chosen.error();
            }
            default: return channel.send(std::move(value), brief(random));
        }
    }
}

template <typename Channel>
Result<Ledger::Value> receive_somehow(Channel& channel, SmallRandom& random) {
    switch (random.below(4)) {
        case 0: return channel.try_receive();
        case 1: {
            Result<Ledger::Value> outcome(Errc::channel_closed);
            const auto chosen =
                select_until(brief(random), on_receive(channel, [&](Result<Ledger::Value> value) {
                                 outcome = std::move(value);
                             }));
            if (!chosen) {
                return chosen.error();
            }
            return outcome;
        }
        default: return channel.receive(brief(random));
    }
}

/// The even ones send, the odd ones receive; who is asked to stop gives up. Halfway through somebody may
/// close the channel.
template <typename Channel>
void exchange(Channel& channel, bool closes_early) {
    Ledger ledger;
    std::atomic<int> senders{Crowd::kAll / 2};
    Crowd(test::make_seed()).run([&](int who, SmallRandom& random) {
        if (who % 2 == 0) {
            for (int number = 0; number != kValues; ++number) {
                Ledger::Value value = Ledger::make(who, number);
                Result<void> sent;
                do {
                    sent = send_somehow(channel, value, random);
                    EXPECT_EQ(value == nullptr, sent.has_value()) << "the value of a failed send";
                } while (!sent && sent.error() != Errc::channel_closed &&
                         !this_fiber::stop_requested());
                if (sent) {
                    ledger.was_sent(who, number);
                }
                if (closes_early && who == 0 && number == kValues / 2) {
                    channel.close();
                }
            }
            if (--senders == 0) {
                channel.close();
            }
        } else {
            // Not even a stop ends it before the channel is closed and empty: the values would be missed.
            const this_fiber::Shield shield;
            for (;;) {
                auto value = receive_somehow(channel, random);
                if (value) {
                    ledger.was_received(*value);
                } else if (value.error() == Errc::channel_closed) {
                    return;
                }
            }
        }
    });
    EXPECT_GT(ledger.sent_count(), 0);
    ledger.expect_each_once();
}

class ChannelStress : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Capacities, ChannelStress, testing::Values(0, 1, 4, 64));

TEST_P(ChannelStress, EachValueIsReceivedOnce) {
    Channel<Ledger::Value> channel(GetParam());
    exchange(channel, false);
}

TEST_P(ChannelStress, EachValueThatCameBeforeTheCloseIsReceivedOnce) {
    Channel<Ledger::Value> channel(GetParam());
    exchange(channel, true);
}

TEST(UnboundedChannelStress, EachValueIsReceivedOnce) {
    UnboundedChannel<Ledger::Value> channel;
    exchange(channel, false);
}

TEST(UnboundedChannelStress, EachValueThatCameBeforeTheCloseIsReceivedOnce) {
    UnboundedChannel<Ledger::Value> channel;
    exchange(channel, true);
}

TEST(SelectStress, SelectsThatSendAndReceiveOnTheSameChannelsMeetEachOther) {
    // Everybody sends to one of two channels without capacity and receives from both, in one select. Each
    // select ends one exchange, as one side of it, and nobody may be left alone with a lost wake-up.
    Channel<Ledger::Value> left(0);
    Channel<Ledger::Value> right(0);
    Ledger ledger;
    std::atomic<int> busy{Crowd::kAll};
    Crowd(test::make_seed()).run([&](int who, SmallRandom& random) {
        const this_fiber::Shield shield;
        Channel<Ledger::Value>& target = who % 2 == 0 ? left : right;
        for (int number = 0; number != kValues;) {
            Ledger::Value value = Ledger::make(who, number);
            const auto received = [&](Result<Ledger::Value> got) { ledger.was_received(*got); };
            const auto sent = [&](Result<void> done) {
                if (done) {
                    ledger.was_sent(who, number++);
                }
            };
            const bool is_first = random.below(2) == 0;
            const auto chosen = select_until(soon(), on_receive(is_first ? left : right, received),
                                             on_send(target, std::move(value), sent),
                                             on_receive(is_first ? right : left, received));
            ASSERT_TRUE(chosen) << "nobody came";
        }
        // Those who are not done yet need somebody to take their values.
        const int last = --busy;
        while (last != 0 && busy != 0) {
            (void)select_until(
                Deadline::after(200us),
                on_receive(left, [&](Result<Ledger::Value> got) { ledger.was_received(*got); }),
                on_receive(right, [&](Result<Ledger::Value> got) { ledger.was_received(*got); }));
        }
    });
    EXPECT_EQ(ledger.sent_count(), Crowd::kAll * kValues);
    ledger.expect_each_once();
}

}  // namespace
}  // namespace coir
