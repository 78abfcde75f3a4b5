#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "coir/runtime/parker.hpp"
#include "coir/runtime/scope.hpp"
#include "stress/duel.hpp"

// A scope is joined, stopped, given new fibers, and its fibers end or fail, two things at a time. All who are
// to stop must be told so, and when the scope has been joined all of its fibers have ended.
namespace coir {
namespace {

using test::Side;
using test::SmallRandom;

enum class Event : std::uint8_t { join, stop, stop_of_fiber, spawn, end, failure };

constexpr std::array kNames{"Join", "Stop", "StopOfFiber", "Spawn", "End", "Failure"};

struct Pair {
    Event first;
    Event second;

    [[nodiscard]] bool has(Event event) const { return first == event || second == event; }
};

std::string name_of(const Pair& pair) {
    return std::string(kNames[static_cast<std::size_t>(pair.first)]) + "And" +
           kNames[static_cast<std::size_t>(pair.second)];
}

void PrintTo(const Pair& pair, std::ostream* out) {
    *out << name_of(pair);
}

class ScopeBout final : public test::Bout {
public:
    explicit ScopeBout(Pair pair) : pair_(pair) {}

    void begin(SmallRandom& random) override {
        ready_ = false;
        was_canceled_ = false;
        was_born_stopped_ = false;
        begun_ = 0;
        ended_ = 0;
        gate_.emplace();
        scope_.emplace();
        // It has a scope of its own, so that a request goes down two levels.
        outer_ = scope_->spawn({.name = "outer", .worker = random.below(2)}, [this] {
            const Presence presence(*this);
            coir::scope(
                [this](Scope& scope) { scope.spawn({.name = "inner"}, [this] { be_inner(); }); });
        });
    }
    bool is_set_up() override { return ready_; }
    void act_left() override { act(pair_.first); }
    void act_right() override { act(pair_.second); }
    Side end() override {
        join();
        EXPECT_EQ(begun_, ended_);
        scope_.reset();
        if (pair_.has(Event::join) || pair_.has(Event::stop_of_fiber)) {
            return Side::neither;
        }
        if (pair_.has(Event::spawn)) {
            return was_born_stopped_ == is_stop(pair_.first) ? Side::left : Side::right;
        }
        return was_canceled_ == is_stop(pair_.first) ? Side::left : Side::right;
    }

private:
    /// Counts a fiber while it is there.
    class Presence final {
    public:
        explicit Presence(ScopeBout& bout) : bout_(bout) { ++bout_.begun_; }
        ~Presence() { ++bout_.ended_; }
        Presence(const Presence&) = delete;
        Presence& operator=(const Presence&) = delete;

    private:
        ScopeBout& bout_;
    };

    static bool is_stop(Event event) {
        return event == Event::stop || event == Event::stop_of_fiber;
    }

    void be_inner() {
        const Presence presence(*this);
        ready_ = true;
        was_canceled_ = !gate_->park(Deadline::never());
        EXPECT_TRUE(!was_canceled_ || this_fiber::stop_requested());
        if (!was_canceled_ && pair_.has(Event::failure)) {
            throw std::runtime_error("on purpose");
        }
    }
    void be_spawned() {
        const Presence presence(*this);
        was_born_stopped_ = this_fiber::stop_requested();
        if (pair_.has(Event::stop) || pair_.has(Event::failure)) {
            Parker nobody;
            EXPECT_EQ(nobody.park(Deadline::never()).error(), std::errc::operation_canceled);
        }
    }
    void act(Event event) {
        switch (event) {
            case Event::join: join(); break;
            case Event::stop: scope_->request_stop(); break;
            case Event::stop_of_fiber: outer_.request_stop(); break;
            case Event::spawn:
                scope_->spawn({.name = "spawned"}, [this] { be_spawned(); });
                if (pair_.has(Event::join)) {
                    gate_->unpark();
                }
                break;
            case Event::end:
            case Event::failure: gate_->unpark(); break;
        }
    }
    void join() {
        try {
            scope_->join();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::operation_canceled);
            EXPECT_TRUE(
                pair_.has(Event::stop_of_fiber));  // the scope itself may not have been stopped
        } catch (const std::runtime_error&) {
            EXPECT_TRUE(pair_.has(Event::failure));
        }
    }

    const Pair pair_;
    std::optional<Parker> gate_;
    std::optional<Scope> scope_;
    ScopedHandle<void> outer_;
    std::atomic<bool> ready_{false};
    std::atomic<bool> was_canceled_{false};
    std::atomic<bool> was_born_stopped_{false};
    std::atomic<int> begun_{0};
    std::atomic<int> ended_{0};
};

class ScopeDuel : public testing::TestWithParam<Pair> {};

INSTANTIATE_TEST_SUITE_P(
    Of, ScopeDuel,
    testing::Values(Pair{Event::join, Event::stop}, Pair{Event::join, Event::spawn},
                    Pair{Event::join, Event::end}, Pair{Event::join, Event::failure},
                    Pair{Event::stop, Event::spawn}, Pair{Event::stop, Event::end},
                    Pair{Event::stop, Event::failure}, Pair{Event::stop, Event::stop_of_fiber},
                    Pair{Event::stop_of_fiber, Event::end}, Pair{Event::spawn, Event::failure},
                    Pair{Event::spawn, Event::end}),
    [](const auto& pair) { return name_of(pair.param); });

TEST_P(ScopeDuel, LeavesNoFiberBehindAndTellsAllWhoAreToStop) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = 2});
    test::Duel::Bouts bouts(test::Duel::kBouts);
    for (auto& bout : bouts) {
        bout = std::make_unique<ScopeBout>(GetParam());
    }
    const test::Score score = test::Duel(seed, bouts).run(runtime, test::stress_rounds(10'000));
    std::cout << score.bouts << " bouts, " << score.left << " and " << score.right << " won"
              << std::endl;
    RecordProperty("contested", std::to_string(std::min(score.left, score.right)));
}

}  // namespace
}  // namespace coir
