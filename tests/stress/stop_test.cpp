#include <gtest/gtest.h>

#include <atomic>
#include <iostream>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/scope.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/sanitized.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

TEST(RuntimeStop, EndsWhileThreadsAreStillSpawning) {
    // A refused spawn is counted for a moment. stop() once saw that count, went to sleep, and nobody told
    // it that the count had been taken back.
    for (int round = 0; round != 400; ++round) {
        std::atomic<int> accepted{0};
        std::atomic<int> ran{0};
        std::atomic<int> ready{0};
        Runtime runtime({.workers = 2});
        std::vector<std::thread> threads;
        for (int i = 0; i != 3; ++i) {
            threads.emplace_back([&] {
                ++ready;
                for (;;) {
                    try {
                        runtime.spawn([&] { ++ran; }).join();
                        ++accepted;
                    } catch (const std::system_error& error) {
                        EXPECT_EQ(error.code(), Errc::runtime_stopped);
                        return;
                    }
                }
            });
        }
        while (ready != 3) {
            std::this_thread::yield();
        }
        runtime.stop();
        for (auto& thread : threads) {
            thread.join();
        }
        EXPECT_EQ(ran, accepted);
    }
}

/// Spawns two of its kind, which spawn others, and waits until it is asked to stop.
void multiply(std::atomic<int>& room) {
    for (int i = 0; i != 2; ++i) {
        if (room.fetch_sub(1) > 0) {
            spawn_detached({}, [&room] { multiply(room); });
        }
    }
    (void)this_fiber::sleep_for(1h);
}

TEST(RuntimeStop, WithADeadlineEndsFibersThatMultiplyWhileOthersAskThemToStop) {
    for (int round = 0; round != test::unless_tsan(120, 20); ++round) {
        Runtime runtime({.workers = 2});
        std::atomic<int> room{200};
        std::atomic<bool> stopped{false};
        runtime.spawn([&] { multiply(room); }).detach();
        std::thread asking([&] {
            while (!stopped) {
                if (round % 2 == 0) {
                    runtime.request_stop();
                }
                (void)runtime.fibers();
            }
        });
        const auto left =
            runtime.stop(Deadline::after(std::chrono::microseconds(round % 100)), test::kPatience);
        EXPECT_TRUE(left.empty()) << to_string(left.front());
        stopped = true;
        asking.join();
    }
}

TEST(RuntimeStop, OfTwoRuntimesWhoseFibersStopEachOther) {
    // The fibers of each wait for scopes full of the other's.
    for (int round = 0; round != test::unless_tsan(300, 20); ++round) {
        std::optional<Runtime> first(std::in_place, RuntimeOptions{.workers = 2});
        std::optional<Runtime> second(std::in_place, RuntimeOptions{.workers = 2});
        std::atomic<int> begun{0};
        std::atomic<int> ended{0};
        const auto wait_for_fibers_of = [&](Runtime& other) {
            Scope scope(other);
            for (int i = 0; i != 8; ++i) {
                scope.spawn([&] {
                    ++begun;
                    EXPECT_EQ(this_fiber::sleep_for(1h), std::errc::operation_canceled);
                    ++ended;
                });
            }
            try {
                scope.join();
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.code(), std::errc::operation_canceled);
            }
        };
        auto of_first = first->spawn([&] { wait_for_fibers_of(*second); });
        auto of_second = second->spawn([&] { wait_for_fibers_of(*first); });
        while (begun < round % 17) {
            std::this_thread::yield();
        }
        std::thread asking([&] { of_second.request_stop(); });
        of_first.request_stop();
        asking.join();
        of_first.join();
        of_second.join();
        EXPECT_EQ(begun, ended);
        (round % 2 == 0 ? first : second).reset();
    }
}

TEST(StopToken, MayBeAskedWhileItsFiberEnds) {
    // The callback, its token and its fiber all go while somebody asks.
    Runtime runtime({.workers = 2});
    std::atomic<int> called{0};
    std::atomic<int> missed{0};
    for (int round = 0; round != test::unless_tsan(20'000, 1000); ++round) {
        std::atomic<bool> has_callback{false};
        auto fiber = runtime.spawn([&] {
            bool was_called = false;
            {
                const std::stop_callback callback(this_fiber::stop_token(),
                                                  [&] { was_called = true; });
                has_callback = true;
                for (int i = 1 << round % 17; i != 0; --i) {
                    asm volatile("");
                }
                while (round % 8 == 0 && !this_fiber::stop_requested()) {
                }
            }
            // The callback has returned, or will never be called.
            ++(was_called ? called : missed);
        });
        while (!has_callback) {
        }
        for (int i = round / 64 % 64; i != 0; --i) {
            asm volatile("");
        }
        if (round % 8 == 1) {
            ASSERT_TRUE(fiber.wait(soon()));
        }
        round % 2 == 0 ? fiber.request_stop() : runtime.request_stop();
        ASSERT_TRUE(fiber.wait(soon()));
        fiber.join();
    }
    std::cout << called << " called, " << missed << " missed\n";
    EXPECT_GT(called, 0);
    EXPECT_GT(missed, 0);
}

TEST(RuntimeStop, MayComeBeforeTheWorkersHaveFallenAsleep) {
    // A worker that sees the request by itself ends, and Boost's scheduler with it, while stop() may
    // still be waking that scheduler.
    for (int round = 0; round != 1000; ++round) {
        Runtime runtime({.workers = 3});
    }
}

}  // namespace
}  // namespace coir
