#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <boost/fiber/fiber.hpp>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/blocking.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/turns.hpp"
#include "support/patience.hpp"
#include "support/process_facts.hpp"

// coir::run(), where the calling thread is the first worker.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

class OnCaller : public testing::TestWithParam<std::size_t> {
protected:
    [[nodiscard]] static RuntimeOptions options() { return {.workers = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(Workers, OnCaller, testing::Values(1, 2, 4));

TEST_P(OnCaller, GivesWhatMainReturns) {
    EXPECT_EQ(*run(options(), [] { return std::make_unique<int>(7); }), 7);
    int calls = 0;
    run(options(), [&] { ++calls; });
    run(options(), [&](Runtime& runtime) { calls += static_cast<int>(runtime.workers()); });
    EXPECT_EQ(calls, 1 + static_cast<int>(GetParam()));
}

TEST_P(OnCaller, GivesWhatMainThrowsWhenTheOthersHaveEnded) {
    std::atomic<bool> has_ended{false};
    EXPECT_THROW(run(options(),
                     [&] {
                         spawn_detached({}, [&] {
                             this_fiber::sleep_for(5ms);
                             has_ended = true;
                         });
                         throw std::runtime_error("main");
                     }),
                 std::runtime_error);
    EXPECT_TRUE(has_ended);
}

TEST_P(OnCaller, UsesTheCallingThread) {
    const auto caller = std::this_thread::get_id();
    std::thread([] {}).join();  // ThreadSanitizer's own thread comes with the first
    const auto before = test::threads();
    run(options(), [&] {
        const auto seen =
            spawn({.worker = 0, .pinned = true}, [] { return std::this_thread::get_id(); }).join();
        EXPECT_EQ(seen, caller);
        const auto expected = before + static_cast<std::ptrdiff_t>(GetParam()) - 1;
        EXPECT_TRUE(test::holds_before(soon(), [&] { return test::threads() == expected; }))
            << test::threads() << " for " << expected;
    });
}

TEST_P(OnCaller, WaitsForEveryFiberAndEverySession) {
    std::atomic<int> alive{0};
    auto [ours, theirs] = test::make_socket_pair();
    std::thread client;
    run(options(), [&] {
        for (int i = 0; i != 100; ++i) {
            spawn_detached({}, [&, i] {
                ++alive;
                this_fiber::sleep_for(std::chrono::microseconds(i * 50));
                spawn_detached({}, [&] { --alive; });
            });
        }
        test::start_turns(std::move(theirs), alive, test::echo);
        client = std::thread([&, fd = ours.get()] {
            EXPECT_EQ(test::ask(fd, "still there?"), "still there?");
            ours.reset();
        });
    });
    EXPECT_EQ(alive, 0);
    client.join();
}

TEST_P(OnCaller, TakesFibersFromOtherThreadsUntilMainHasEnded) {
    std::atomic<bool> main_has_ended{false};
    run(options(), [&](Runtime& runtime) {
        // On a thread of the pool, which is no worker.
        const auto spawn_outside = [&runtime]() -> std::error_code {
            return blocking([&]() -> std::error_code {
                try {
                    runtime.spawn([] {}).join();
                    return {};
                } catch (const std::system_error& refused) {
                    return refused.code();
                }
            });
        };
        EXPECT_EQ(spawn_outside(), std::error_code());
        spawn_detached({}, [&main_has_ended, spawn_outside] {
            std::error_code error;
            while (!(error = spawn_outside())) {
                this_fiber::sleep_for(1ms);
            }
            EXPECT_EQ(error, Errc::runtime_stopped);
            EXPECT_TRUE(main_has_ended);
        });
        this_fiber::sleep_for(3ms);
        main_has_ended = true;
    });
    EXPECT_TRUE(main_has_ended);
}

TEST_P(OnCaller, LeavesTheThreadAsItWas) {
    const auto name = [] {
        char text[16] = {};
        pthread_getname_np(pthread_self(), text, sizeof text);
        return std::string(text);
    };
    const auto processors = [] {
        cpu_set_t set;
        EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
        return CPU_COUNT(&set);
    };
    const auto has_signal_stack = [] {
        stack_t stack{};
        EXPECT_EQ(::sigaltstack(nullptr, &stack), 0);
        return (stack.ss_flags & SS_DISABLE) == 0;
    };
    const std::string name_before = name();
    const int processors_before = processors();
    const bool stack_before = has_signal_stack();
    RuntimeOptions pinned = options();
    pinned.pin_workers = true;
    run(pinned, [&] {
        EXPECT_EQ(spawn({.worker = 0, .pinned = true}, processors).join(), 1);
        EXPECT_EQ(spawn({.worker = 0, .pinned = true}, name).join(), name_before);
    });
    EXPECT_EQ(name(), name_before);
    EXPECT_EQ(processors(), processors_before);
    EXPECT_EQ(has_signal_stack(), stack_before);
    EXPECT_THROW((void)spawn([] {}), std::system_error);  // it is a plain thread again
    // Of Boost's own, which stays on the thread with its scheduler.
    int ran = 0;
    boost::fibers::fiber([&] { ++ran; }).join();
    EXPECT_EQ(ran, 1);
}

TEST_P(OnCaller, ManyTimesOnManyThreadsAndBesideARuntime) {
    Runtime beside({.workers = 1});
    std::vector<std::thread> threads;
    std::atomic<int> sum{0};
    for (int i = 0; i != 3; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round != 20; ++round) {
                sum += run(options(), [&] {
                    auto one = spawn([&] { return beside.run([] { return 1; }); });
                    this_fiber::yield();
                    return one.join();
                });
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(sum, 60);
}

TEST_P(OnCaller, NothingIsLeftWhereMainCannotBeStarted) {
    RuntimeOptions without_memory = options();
    without_memory.stack_bytes = std::size_t{1} << 46;
    for (int round = 0; round != 3; ++round) {
        EXPECT_THROW(run(without_memory, [] { ADD_FAILURE(); }), std::system_error);
    }
    EXPECT_EQ(run(options(), [] { return 1; }), 1);
}

TEST_P(OnCaller, ARequestToStopFromOutsideReachesAll) {
    std::thread other;
    run(options(), [&](Runtime& runtime) {
        auto fiber = spawn(
            [] { EXPECT_EQ(this_fiber::sleep_until(soon()), std::errc::operation_canceled); });
        other = std::thread([&runtime] { runtime.request_stop(); });
        EXPECT_EQ(this_fiber::sleep_until(soon()), std::errc::operation_canceled);
        other.join();
    });
}

void expect_refusal() {
    try {
        run({.workers = 2}, [] { ADD_FAILURE(); });
        ADD_FAILURE();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::operation_not_permitted);
    }
}

TEST(Run, IsAnErrorOnAFiber) {
    Runtime runtime({.workers = 1});
    runtime.run(expect_refusal);
    boost::fibers::fiber(expect_refusal).join();
}

}  // namespace
}  // namespace coir
