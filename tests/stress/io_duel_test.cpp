#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/scope.hpp"
#include "runtime/descriptors.hpp"
#include "stress/duel.hpp"

// Two things at a time end the waits on one descriptor, which is then closed; its number and its IoState go
// to the next bout. Each wait must end for a reason that is true, nothing that has arrived may be lost,
// and nobody may be woken by what was meant for the bout before.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::Side;
using test::SmallRandom;
using test::soon;

enum class Event : std::uint8_t { readiness, timeout, close, cancel, stop };

constexpr std::array kNames{"Readiness", "Timeout", "Close", "Cancel", "Stop"};

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

/// A time that has passed: the wait ends when its worker looks next.
Deadline past() {
    return Deadline::at(Deadline::Clock::time_point(1ns));
}

/// How a wait has ended, as its fiber saw it.
struct Outcome {
    std::error_code error;
    bool source_canceled = false;
    bool stop_requested = false;
    std::string text;  // that a reader got
};

class IoBout final : public test::Bout {
public:
    IoBout(Runtime& runtime, Pair pair) : runtime_(runtime), pair_(pair) {}

    void begin(SmallRandom& random) override {
        auto sockets = test::make_socket_pair();
        source_.emplace(std::move(sockets.first));
        peer_ = std::move(sockets.second);
        reused_ += source_->fd() == last_fd_ ? 1U : 0U;
        last_fd_ = source_->fd();
        scope_.emplace();
        ready_ = 0;
        started_ = 0;
        first_to_act_ = Side::neither;
        stop_by_ = random.below(64) == 0 ? 0 : 1 + random.below(2);
        const int who = random.below(4);  // half of the time both
        const int reader_at = pair_.has(Event::timeout) && who == 1 ? 0 : random.below(2);
        const bool pinned = random.below(2) == 0;
        if (who != 0) {
            start(reader_at);
            reader_ = scope_->spawn({.name = "reader", .worker = reader_at, .pinned = pinned},
                                    [this] { return wait(&IoSource::wait_readable, true); });
        }
        if (who != 1) {
            fill();
            const int writer_at = pair_.has(Event::timeout) && who == 0 ? 0 : 1 - reader_at;
            start(writer_at);
            writer_ = scope_->spawn({.name = "writer", .worker = writer_at, .pinned = pinned},
                                    [this] { return wait(&IoSource::wait_writable, false); });
        }
        main_is_reader_ = who == 1 || (who > 1 && reader_at == 0);
    }
    bool is_set_up() override { return ready_ >= started_; }
    void act_left() override { act(pair_.first, Side::left); }
    void act_right() override { act(pair_.second, Side::right); }

    Side end() override {
        std::optional<Outcome> read;
        std::optional<Outcome> written;
        if (reader_.joinable()) {
            read = reader_.join();
            check(*read);
            check_bytes(*read);
        }
        if (writer_.joinable()) {
            written = writer_.join();
            check(*written);
            check_room(*written);
        }
        scope_->join();
        scope_.reset();
        check_later_waits();
        const Side winner = winner_of(main_is_reader_ ? *read : *written);
        source_.reset();
        peer_.reset();
        return winner;
    }

    [[nodiscard]] std::uint64_t reused() const { return reused_; }
    [[nodiscard]] std::uint64_t spurious() const { return spurious_; }

private:
    // Those on the right time out before it is begun: the workers look around meanwhile, though the left one
    // not so soon.
    void start(int worker) { started_ += pair_.has(Event::timeout) && worker == 1 ? 0 : 1; }

    Outcome wait(Result<void> (IoSource::*direction)(Deadline), bool reads) {
        ready_ += !pair_.has(Event::timeout) || this_worker::index() == 0 ? 1 : 0;
        Outcome outcome;
        outcome.error =
            ((*source_).*direction)(pair_.has(Event::timeout) ? past() : Deadline::never()).error();
        outcome.source_canceled = source_->is_canceled();
        outcome.stop_requested = this_fiber::stop_requested();
        if (reads && !outcome.error) {
            outcome.text = test::get(source_->fd());
        }
        return outcome;
    }

    void act(Event event, Side side) {
        Side nobody = Side::neither;
        first_to_act_.compare_exchange_strong(nobody, side);
        switch (event) {
            case Event::readiness:
                if (reader_.joinable()) {
                    (void)::send(peer_.get(), "x", 1, MSG_NOSIGNAL);  // it may have been shut down
                }
                if (writer_.joinable()) {
                    while (test::get(peer_.get(), 2048).starts_with('f')) {
                    }
                }
                break;
            case Event::timeout:
                break;  // by the left worker, which has something else to do until then
            case Event::close: source_->close(); break;
            case Event::cancel: source_->cancel(); break;
            case Event::stop: stop(); break;
        }
    }
    void stop() {
        switch (stop_by_) {
            case 0: runtime_.request_stop(); break;  // of the other bouts as well
            case 1: scope_->request_stop(); break;
            default:
                if (writer_.joinable()) {
                    writer_.request_stop();
                }
                if (reader_.joinable()) {
                    reader_.request_stop();
                }
        }
    }
    void fill() {
        const int least = 1;
        ASSERT_EQ(::setsockopt(source_->fd(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
        const std::string text(1500, 'f');
        while (syscall::write(source_->fd(), std::as_bytes(std::span(text)))) {
        }
    }

    void check(const Outcome& outcome) {
        if (!outcome.error) {
            // A shutdown is something to read, and room to fail in.
            EXPECT_TRUE(pair_.has(Event::readiness) || pair_.has(Event::close))
                << "woken by nobody of this bout";
        } else if (outcome.error == std::errc::timed_out) {
            EXPECT_TRUE(pair_.has(Event::timeout));
        } else {
            ASSERT_EQ(outcome.error, std::errc::operation_canceled);
            EXPECT_TRUE((pair_.has(Event::stop) && outcome.stop_requested) ||
                        outcome.source_canceled);
        }
    }
    void check_bytes(const Outcome& outcome) {
        if (!pair_.has(Event::readiness)) {
            return;
        }
        std::string text = outcome.text;
        if (!outcome.error && text == "would block") {
            ++spurious_;
        }
        if (source_->is_canceled()) {
            return;
        }
        while (text != "x") {
            ASSERT_TRUE(source_->wait_readable(soon())) << "the event has been lost";
            text = test::get(source_->fd());
        }
    }
    void check_room(const Outcome& outcome) {
        if (pair_.has(Event::readiness) && !source_->is_canceled()) {
            ASSERT_TRUE(!outcome.error || source_->wait_writable(soon()))
                << "the event has been lost";
            test::put(source_->fd(), "y");
        }
    }
    void check_later_waits() {
        if (source_->is_canceled()) {
            ASSERT_EQ(source_->wait_readable(soon()).error(), std::errc::operation_canceled);
        } else if (++silent_ % 16 == 0) {
            test::put(peer_.get(), "z");
            ASSERT_TRUE(source_->wait_readable(soon()));
        }
    }
    Side winner_of(const Outcome& outcome) {
        Event event = Event::stop;
        if (!outcome.error) {
            const bool by_close =
                pair_.has(Event::close) && (!pair_.has(Event::readiness) || outcome.text == "end");
            event = by_close ? Event::close : Event::readiness;
        } else if (outcome.error == std::errc::timed_out) {
            event = Event::timeout;
        } else if (outcome.source_canceled) {
            if (outcome.stop_requested || (pair_.has(Event::close) && pair_.has(Event::cancel))) {
                return first_to_act_;  // both had come when it looked
            }
            event = pair_.has(Event::close) ? Event::close : Event::cancel;
        }
        return event == pair_.first    ? Side::left
               : event == pair_.second ? Side::right
                                       : Side::neither;
    }

    Runtime& runtime_;
    const Pair pair_;
    std::optional<IoSource> source_;
    UniqueFd peer_;
    std::optional<Scope> scope_;
    ScopedHandle<Outcome> reader_;
    ScopedHandle<Outcome> writer_;
    bool main_is_reader_ = false;
    int started_ = 0;
    int stop_by_ = 0;
    std::atomic<int> ready_{0};
    std::atomic<Side> first_to_act_{Side::neither};
    int last_fd_ = -1;
    std::uint64_t reused_ = 0;
    std::uint64_t spurious_ = 0;
    std::uint64_t silent_ = 0;
};

class IoDuel : public testing::TestWithParam<Pair> {};

INSTANTIATE_TEST_SUITE_P(
    Of, IoDuel,
    testing::Values(Pair{Event::timeout, Event::readiness}, Pair{Event::readiness, Event::close},
                    Pair{Event::readiness, Event::cancel}, Pair{Event::readiness, Event::stop},
                    Pair{Event::timeout, Event::close}, Pair{Event::timeout, Event::cancel},
                    Pair{Event::timeout, Event::stop}, Pair{Event::close, Event::cancel},
                    Pair{Event::close, Event::stop}, Pair{Event::cancel, Event::stop}),
    [](const auto& pair) { return name_of(pair.param); });

TEST_P(IoDuel, EndsEveryWaitForOneTrueReason) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = 2});
    const std::uint64_t wanted = test::stress_rounds(20'000);
    const auto [first, second] = GetParam();
    std::uint64_t won_by_first = 0;
    std::uint64_t won_by_second = 0;
    std::uint64_t contested = 0;  // as often as the one lost who mostly won
    std::uint64_t bouts = 0;
    std::uint64_t reused = 0;
    std::uint64_t spurious = 0;
    for (const bool in_turn : {false, true}) {
        // A worker times out what waits there.
        const bool swapped = in_turn && first != Event::timeout;
        test::Duel::Bouts fighting(first == Event::timeout ? test::Duel::kTimedBouts
                                                           : test::Duel::kBouts);
        for (auto& bout : fighting) {
            bout = std::make_unique<IoBout>(runtime, swapped ? Pair{second, first} : GetParam());
        }
        const test::Score score = test::Duel(seed, fighting).run(runtime, wanted / 2);
        won_by_first += swapped ? score.right : score.left;
        won_by_second += swapped ? score.left : score.right;
        contested += std::min(score.left, score.right);
        bouts += score.bouts;
        for (const auto& bout : fighting) {
            reused += static_cast<const IoBout&>(*bout).reused();
            spurious += static_cast<const IoBout&>(*bout).spurious();
        }
    }
    std::cout << bouts << " bouts, " << won_by_first << " and " << won_by_second << " won, "
              << contested << " contested, " << reused << " numbers reused, " << spurious
              << " spurious wake-ups" << std::endl;
    RecordProperty("contested", std::to_string(contested));
    EXPECT_EQ(won_by_first + won_by_second, bouts);
    EXPECT_GT(reused, bouts / 2);
    EXPECT_EQ(spurious, 0U);
}

}  // namespace
}  // namespace coir
