#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/session.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/sanitized.hpp"
#include "stress/seed.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// Readiness, timeout, cancel() and requests to stop race for a session that waits, while its turns move between
// workers. No turn may be lost, doubled or overlap with another of its session.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::SmallRandom;
using test::soon;

constexpr std::size_t kWorkers = 4;

struct Tally {
    std::atomic<int> alive{0};
    std::atomic<int> overlaps{0};
    std::atomic<long> timeouts{0};
    std::atomic<long> cancels{0};
};

void dawdle(SmallRandom& random) {
    switch (random.below(6)) {
        case 0: this_fiber::yield(); break;
        case 1: this_fiber::sleep_for(std::chrono::microseconds(random.below(300))); break;
        default: break;
    }
}

/// Sends back what comes, with turns that suspend now and then and waits that time out.
class RestlessEcho final {
public:
    RestlessEcho(UniqueFd fd, Tally& tally, std::uint64_t seed, int who)
        : source_(std::move(fd)), tally_(tally), random_(seed, who) {
        ++tally_.alive;
    }
    RestlessEcho(const RestlessEcho&) = delete;
    RestlessEcho& operator=(const RestlessEcho&) = delete;
    ~RestlessEcho() { --tally_.alive; }

    NextTurn turn(Result<void> waited) noexcept {
        if (is_inside_.exchange(true)) {
            ++tally_.overlaps;
        }
        const NextTurn next = take_turn(waited);
        is_inside_ = false;
        return next;
    }

private:
    NextTurn take_turn(Result<void> waited) noexcept {
        if (!waited && waited.error() == std::errc::operation_canceled) {
            ++tally_.cancels;
            return NextTurn::none();
        }
        tally_.timeouts += waited ? 0 : 1;
        dawdle(random_);
        for (;;) {
            const std::string text = test::get(source_.fd());
            if (text == "would block") {
                break;
            }
            if (text == "end" || !syscall::send(source_.fd(), std::as_bytes(std::span(text)), 0)) {
                return NextTurn::none();
            }
        }
        dawdle(random_);
        return NextTurn::when_readable(
            source_, random_.below(3) == 0
                         ? Deadline::never()
                         : Deadline::after(std::chrono::microseconds(random_.below(1500))));
    }

    IoSource source_;
    Tally& tally_;
    SmallRandom random_;
    std::atomic<bool> is_inside_{false};
};

TEST(SessionRaces, NoMessageIsLostHoweverOftenWaitsTimeOut) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = kWorkers});
    Tally tally;
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> clients;
        for (int pair = 0; pair != 24; ++pair) {
            clients.push_back(spawn({.worker = pair % int{kWorkers}}, [&, pair] {
                SmallRandom random(seed, 1000 + pair);
                auto [ours, theirs] = test::make_socket_pair();
                start_session<RestlessEcho>({.name = "echo"}, std::move(theirs), tally, seed, pair);
                IoSource source(std::move(ours));
                for (int i = 0; i != test::unless_tsan(2000, 200); ++i) {
                    const char letter = static_cast<char>('a' + i % 26);
                    test::put(source.fd(), std::string_view(&letter, 1));
                    std::byte answer{};
                    const auto got = source.when_readable(
                        soon(), [&] { return syscall::read(source.fd(), std::span(&answer, 1)); });
                    ASSERT_TRUE(got) << got.error();
                    ASSERT_EQ(static_cast<char>(answer), letter);
                    dawdle(random);
                }
            }));
        }
    });
    runtime.stop();
    EXPECT_EQ(tally.alive, 0);
    EXPECT_EQ(tally.overlaps, 0);
    EXPECT_GT(tally.timeouts, 0);
}

TEST(SessionRaces, ARequestToStopReachesEverySession) {
    const std::uint64_t seed = test::make_seed();
    for (int round = 0; round != test::unless_tsan(60, 10); ++round) {
        Runtime runtime({.workers = kWorkers});
        Tally tally;
        std::vector<UniqueFd> ours;
        std::atomic<bool> stopped{false};
        constexpr int kSessions = 40;
        for (int i = 0; i != kSessions; ++i) {
            auto pair = test::make_socket_pair();
            ours.push_back(std::move(pair.first));
            runtime
                .spawn([&, i, end = std::move(pair.second)]() mutable {
                    start_session<RestlessEcho>({.name = "echo"}, std::move(end), tally, seed + 100,
                                                i);
                })
                .detach();
        }
        std::thread poking([&] {
            SmallRandom random(seed, round);
            while (!stopped) {
                const int fd = ours[static_cast<std::size_t>(random.below(kSessions))].get();
                (void)syscall::send(fd, std::as_bytes(std::span("x", 1)), 0);
                (void)test::get(fd);
                (void)runtime.fibers();
            }
        });
        const auto left =
            runtime.stop(Deadline::after(std::chrono::milliseconds(round % 3)), test::kPatience);
        stopped = true;
        poking.join();
        EXPECT_TRUE(left.empty());
        EXPECT_EQ(tally.alive, 0);
        EXPECT_EQ(tally.overlaps, 0);
    }
}

/// Serves one signal, or none if it is cancelled first, and says so.
class OneSignal final {
public:
    OneSignal(std::shared_ptr<IoSource> source, std::atomic<int>& signals,
              std::atomic<int>& cancels)
        : source_(std::move(source)), signals_(signals), cancels_(cancels) {}

    NextTurn turn(Result<void> waited) noexcept {
        if (!waited) {
            ++cancels_;
            return NextTurn::none();
        }
        if (test::take_signals(source_->fd()) != 0) {
            ++signals_;
            return NextTurn::none();
        }
        return NextTurn::when_readable(*source_, soon());
    }

private:
    std::shared_ptr<IoSource> source_;
    std::atomic<int>& signals_;
    std::atomic<int>& cancels_;
};

TEST(SessionRaces, ACancelAndASignalEndAWaitOnce) {
    Runtime runtime({.workers = 2});
    std::atomic<int> signals{0};
    std::atomic<int> cancels{0};
    const int rounds = test::unless_tsan(4000, 400);
    for (int round = 0; round != rounds; ++round) {
        auto source = std::make_shared<IoSource>(test::make_eventfd());
        runtime.run([&] { start_session<OneSignal>({}, source, signals, cancels); });
        std::thread other([&] { source->cancel(); });
        test::signal(source->fd());
        other.join();
        while (signals + cancels != round + 1) {
            std::this_thread::yield();
        }
    }
    runtime.stop();
    EXPECT_EQ(signals + cancels, rounds);
}

}  // namespace
}  // namespace coir
