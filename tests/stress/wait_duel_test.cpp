#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/scope.hpp"
#include "coir/runtime/select.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/worker.hpp"
#include "stress/duel.hpp"

// What ends the waits that are not for a descriptor, two things at a time. Each wait must end for a reason that
// is true, and what has come and has not been taken must be there for the next.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::Side;
using test::SmallRandom;
using test::soon;

enum class Event : std::uint8_t { unpark, end, timeout, stop, signal };

constexpr std::array kNames{"Unpark", "End", "Timeout", "Stop", "Signal"};

enum class Kind : std::uint8_t { parker, join, sleep, select };

constexpr std::array kKinds{"Parker", "Join", "Sleep", "Select"};

struct Case {
    Kind kind;
    // The left worker times out what waits there, so a timeout is the first.
    Event first;
    Event second;

    [[nodiscard]] bool has(Event event) const { return first == event || second == event; }
};

std::string name_of(const Case& what) {
    return std::string(kKinds[static_cast<std::size_t>(what.kind)]) +
           kNames[static_cast<std::size_t>(what.first)] + "And" +
           kNames[static_cast<std::size_t>(what.second)];
}

void PrintTo(const Case& what, std::ostream* out) {
    *out << name_of(what);
}

/// A time that has passed: the wait ends when its worker looks next.
Deadline past() {
    return Deadline::at(Deadline::Clock::time_point(1ns));
}

/// One fiber that waits; the subclasses say for what.
class WaitBout : public test::Bout {
public:
    explicit WaitBout(const Case& what) : what_(what) {}

    void begin(SmallRandom& random) override {
        ready_ = false;
        const int worker = what_.has(Event::timeout) ? 0 : random.below(2);
        prepare(random);
        waiter_ =
            spawn({.name = "waiter", .worker = worker, .pinned = random.below(2) == 0}, [this] {
                ready_ = true;
                const std::optional<Event> event =
                    wait(what_.has(Event::timeout) ? past() : Deadline::never());
                // The report of what it waits for has been taken back, however soon it was woken.
                EXPECT_EQ(detail::Worker::current()->running_fiber().waits_for, nullptr);
                if (event == Event::stop) {
                    EXPECT_TRUE(this_fiber::stop_requested());
                }
                return event;
            });
    }
    bool is_set_up() override { return ready_; }
    void act_left() override { act(what_.first); }
    void act_right() override { act(what_.second); }
    Side end() override {
        const std::optional<Event> event = waiter_.join();
        finish(event);
        EXPECT_TRUE(event && what_.has(*event));
        return event == what_.first    ? Side::left
               : event == what_.second ? Side::right
                                       : Side::neither;
    }

protected:
    virtual void prepare(SmallRandom& random) = 0;
    /// On the waiting fiber.
    virtual std::optional<Event> wait(Deadline deadline) = 0;
    /// What is neither a timeout nor a stop.
    virtual void cause(Event event) = 0;
    /// On the left fiber: nothing is lost, nothing is left.
    virtual void finish(std::optional<Event> event) = 0;

    [[nodiscard]] bool has(Event event) const { return what_.has(event); }
    static std::optional<Event> meaning_of(std::error_code error) {
        if (error == std::errc::timed_out) {
            return Event::timeout;
        }
        if (error == std::errc::operation_canceled) {
            return Event::stop;
        }
        ADD_FAILURE() << error.message();
        return std::nullopt;
    }

private:
    void act(Event event) {
        switch (event) {
            case Event::timeout:
                break;  // by the left worker, which has something else to do until then
            case Event::stop: waiter_.request_stop(); break;
            default: cause(event);
        }
    }

    const Case what_;
    FiberHandle<std::optional<Event>> waiter_;
    std::atomic<bool> ready_{false};
};

class ParkerBout final : public WaitBout {
public:
    using WaitBout::WaitBout;

private:
    void prepare(SmallRandom& random) override {
        if (!parker_ || random.below(2) == 0) {  // an old one may still be in a wheel
            parker_.emplace();
        }
    }
    std::optional<Event> wait(Deadline deadline) override {
        const auto parked = parker_->park(deadline);
        return parked ? Event::unpark : meaning_of(parked.error());
    }
    void cause(Event) override { parker_->unpark(); }
    void finish(std::optional<Event> event) override {
        if (has(Event::unpark) && event != Event::unpark) {
            EXPECT_TRUE(parker_->park(soon())) << "the unpark() has been lost";
        }
        EXPECT_EQ(parker_->park(past()).error(), std::errc::timed_out);
    }

    std::optional<Parker> parker_;
};

/// A fiber that ends when it is told to.
class Target final {
public:
    void begin(int worker) {
        gate_.emplace();
        fiber_ = spawn({.name = "target", .worker = worker},
                       [this] { (void)gate_->park(Deadline::never()); });
    }
    void end() { gate_->unpark(); }
    FiberHandle<void>& fiber() { return fiber_; }
    void join() {
        if (!fiber_.joinable()) {
            return;
        }
        gate_->unpark();
        EXPECT_TRUE(fiber_.wait(soon())) << "the end has been lost";
        fiber_.join();
    }

private:
    std::optional<Parker> gate_;
    FiberHandle<void> fiber_;
};

class JoinBout final : public WaitBout {
public:
    using WaitBout::WaitBout;

private:
    void prepare(SmallRandom& random) override { target_.begin(random.below(2)); }
    std::optional<Event> wait(Deadline deadline) override {
        const auto waited = target_.fiber().wait(deadline);
        return waited ? Event::end : meaning_of(waited.error());
    }
    void cause(Event) override { target_.end(); }
    void finish(std::optional<Event> event) override {
        EXPECT_TRUE(event != Event::end || target_.fiber().is_done());
        target_.join();
    }

    Target target_;
};

class SleepBout final : public WaitBout {
public:
    using WaitBout::WaitBout;

private:
    void prepare(SmallRandom& random) override {
        length_ = std::chrono::nanoseconds(random.below(1 << random.below(15)));
    }
    // Here the timeout is what it sleeps for.
    std::optional<Event> wait(Deadline) override {
        const Deadline end = Deadline::after(length_);
        const auto error = this_fiber::sleep_until(end);
        EXPECT_TRUE(error || end.has_passed(Deadline::Clock::now()));
        return error ? meaning_of(error) : Event::timeout;
    }
    void cause(Event) override {}
    void finish(std::optional<Event>) override {}

    std::chrono::nanoseconds length_{};
};

/// Two arms: a descriptor that is signalled, and a fiber that ends.
class SelectBout final : public WaitBout {
public:
    using WaitBout::WaitBout;

private:
    void prepare(SmallRandom& random) override {
        if (!source_ || random.below(4) == 0) {
            source_.emplace(test::make_eventfd());
        }
        target_.begin(random.below(2));
        signals_ = 0;
        by_arm_ = random.below(2) == 0;
    }
    std::optional<Event> wait(Deadline deadline) override {
        std::optional<Event> event;
        const auto signalled = [&](Result<void> ready) {
            EXPECT_TRUE(ready);
            signals_ += test::take_signals(source_->fd());
            event = Event::signal;
        };
        const auto joined = [&] { event = Event::end; };
        const auto passed = [&] { event = Event::timeout; };
        for (;;) {
            event.reset();
            const auto chosen =
                by_arm_ ? select(on_readable(*source_, signalled), on_join(target_.fiber(), joined),
                                 on_deadline(deadline, passed))
                        : select_until(deadline, on_readable(*source_, signalled),
                                       on_join(target_.fiber(), joined));
            EXPECT_EQ(chosen.has_value(), event.has_value());
            if (event != Event::signal || signals_ != 0) {
                return chosen ? event : meaning_of(chosen.error());
            }
            // Spurious: the source serves several bouts, and may tell twice of the signal of the one before.
        }
    }
    void cause(Event event) override {
        event == Event::signal ? test::signal(source_->fd()) : target_.end();
    }
    void finish(std::optional<Event> event) override {
        EXPECT_TRUE(event != Event::end || target_.fiber().is_done());
        EXPECT_EQ(event == Event::signal, signals_ != 0);
        while (has(Event::signal) && signals_ == 0) {
            ASSERT_TRUE(source_->wait_readable(soon())) << "the signal has been lost";
            signals_ += test::take_signals(source_->fd());
        }
        EXPECT_EQ(signals_, has(Event::signal) ? 1U : 0U);
        target_.join();
    }

    std::optional<IoSource> source_;
    Target target_;
    bool by_arm_ = false;
    std::uint64_t signals_ = 0;
};

std::unique_ptr<test::Bout> make_bout(const Case& what) {
    switch (what.kind) {
        case Kind::parker: return std::make_unique<ParkerBout>(what);
        case Kind::join: return std::make_unique<JoinBout>(what);
        case Kind::sleep: return std::make_unique<SleepBout>(what);
        case Kind::select: break;
    }
    return std::make_unique<SelectBout>(what);
}

class WaitDuel : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Of, WaitDuel,
                         testing::Values(Case{Kind::parker, Event::timeout, Event::unpark},
                                         Case{Kind::parker, Event::timeout, Event::stop},
                                         Case{Kind::parker, Event::unpark, Event::stop},
                                         Case{Kind::join, Event::timeout, Event::end},
                                         Case{Kind::join, Event::timeout, Event::stop},
                                         Case{Kind::join, Event::end, Event::stop},
                                         Case{Kind::sleep, Event::timeout, Event::stop},
                                         Case{Kind::select, Event::timeout, Event::signal},
                                         Case{Kind::select, Event::timeout, Event::end},
                                         Case{Kind::select, Event::timeout, Event::stop},
                                         Case{Kind::select, Event::signal, Event::end},
                                         Case{Kind::select, Event::signal, Event::stop},
                                         Case{Kind::select, Event::end, Event::stop}),
                         [](const auto& what) { return name_of(what.param); });

TEST_P(WaitDuel, EndsEveryWaitForOneTrueReason) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = 2});
    test::Score won;  // by the first and by the second, on whichever side
    std::uint64_t contested = 0;
    const auto [kind, first, second] = GetParam();
    for (const bool in_turn : {false, true}) {
        const bool swapped = in_turn && first != Event::timeout;
        test::Duel::Bouts bouts(first == Event::timeout ? test::Duel::kTimedBouts
                                                        : test::Duel::kBouts);
        for (auto& bout : bouts) {
            bout = make_bout(swapped ? Case{kind, second, first} : GetParam());
        }
        const test::Score score =
            test::Duel(seed, bouts).run(runtime, test::stress_rounds(20'000) / 2);
        won.left += swapped ? score.right : score.left;
        won.right += swapped ? score.left : score.right;
        won.bouts += score.bouts;
        contested += std::min(score.left, score.right);
    }
    std::cout << won.bouts << " bouts, " << won.left << " and " << won.right << " won, "
              << contested << " contested" << std::endl;
    RecordProperty("contested", std::to_string(contested));
    EXPECT_EQ(won.left + won.right, won.bouts);
}

}  // namespace
}  // namespace coir
