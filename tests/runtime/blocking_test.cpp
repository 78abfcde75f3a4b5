#include "coir/runtime/blocking.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <csignal>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "runtime/gate.hpp"
#include "runtime/threads.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::Gate;
using test::soon;
using Clock = Deadline::Clock;

/// What a call that is not made says.
template <typename F>
std::error_code error_of(F&& function) {
    try {
        function();
    } catch (const std::system_error& error) {
        return error.code();
    }
    return {};
}

TEST(Blocking, ReturnsWhatTheCallReturns) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        EXPECT_EQ(blocking([] { return 42; }), 42);
        EXPECT_EQ(*blocking([] { return std::make_unique<std::string>("moved"); }), "moved");
        int here = 0;
        int& same = blocking([&]() -> int& { return here; });
        EXPECT_EQ(&same, &here);
        blocking([&] { here = 7; });
        EXPECT_EQ(here, 7);
    });
}

TEST(Blocking, RethrowsWhatTheCallThrows) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        try {
            blocking([] { throw std::runtime_error("from the pool"); });
            FAIL() << "nothing was thrown";
        } catch (const std::runtime_error& error) {
            EXPECT_STREQ(error.what(), "from the pool");
        }
    });
}

TEST(Blocking, CallsDirectlyOnAPlainThread) {
    EXPECT_EQ(blocking([] { return std::this_thread::get_id(); }), std::this_thread::get_id());
}

TEST(Blocking, CallsDirectlyWithinACall) {
    Runtime runtime({.workers = 1, .blocking_threads = 1});
    runtime.run([] {
        const bool same = blocking([] {
            return blocking([] { return std::this_thread::get_id(); }) ==
                   std::this_thread::get_id();
        });
        EXPECT_TRUE(same);
    });
}

TEST(Blocking, LetsTheWorkerRunOtherFibers) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        Gate gate;
        auto other = spawn([&] { gate.open(); });
        EXPECT_TRUE(blocking([&] { return gate.wait(); }));  // only the other fiber can end this
        other.join();
    });
}

TEST(Blocking, StartsNoThreadBeforeTheFirstCall) {
    Runtime runtime({.workers = 1});
    EXPECT_EQ(runtime.stats().blocking_threads, 0U);
    runtime.run([] { blocking([] {}); });
    EXPECT_EQ(runtime.stats().blocking_threads, 1U);
}

TEST(Blocking, RunsNoMoreCallsAtOnceThanThereMayBeThreads) {
    constexpr std::size_t kThreads = 4;
    constexpr int kCalls = 200;
    Runtime runtime({.workers = 2, .blocking_threads = kThreads});
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    runtime.run([&] {
        std::vector<FiberHandle<int>> fibers;
        for (int i = 0; i != kCalls; ++i) {
            fibers.push_back(spawn([&, i] {
                return blocking([&] {
                    const int now = ++running;
                    int before = most.load();
                    while (before < now && !most.compare_exchange_weak(before, now)) {
                    }
                    std::this_thread::yield();
                    --running;
                    return i;
                });
            }));
        }
        for (int i = 0; i != kCalls; ++i) {
            EXPECT_EQ(fibers[static_cast<std::size_t>(i)].join(), i);
        }
    });
    EXPECT_LE(most, static_cast<int>(kThreads));
    EXPECT_LE(runtime.stats().blocking_threads, kThreads);
    EXPECT_EQ(runtime.stats().blocking_queued, 0U);
}

TEST(Blocking, ServesCallsInTheirOrder) {
    Runtime runtime({.workers = 1, .blocking_threads = 1});
    runtime.run([] {
        Gate gate;
        auto first = spawn([&] { EXPECT_TRUE(blocking([&] { return gate.wait(); })); });
        std::vector<int> order;  // one thread at a time
        std::vector<FiberHandle<void>> fibers;
        for (int i = 0; i != 20; ++i) {
            fibers.push_back(spawn([&, i] { blocking([&] { order.push_back(i); }); }));
        }
        spawn([&] { gate.open(); }).join();
        first.join();
        for (auto& fiber : fibers) {
            fiber.join();
        }
        for (int i = 0; i != 20; ++i) {
            EXPECT_EQ(order.at(static_cast<std::size_t>(i)), i);
        }
    });
}

TEST(Blocking, ACallThatHasNotBegunIsWithdrawnAtItsDeadline) {
    Runtime runtime({.workers = 1, .blocking_threads = 1});
    bool was_called = false;
    runtime.run([&] {
        Gate gate;
        auto first = spawn([&] { EXPECT_TRUE(blocking([&] { return gate.wait(); })); });
        spawn([] {}).join();  // the first has called by now
        const auto error =
            error_of([&] { blocking([&] { was_called = true; }, Deadline::after(5ms)); });
        EXPECT_EQ(error, std::errc::timed_out);
        gate.open();
        first.join();
        blocking([] {});  // it would have come before this
    });
    EXPECT_FALSE(was_called);
}

TEST(Blocking, ACallThatHasNotBegunIsWithdrawnWhenItsFiberIsToStop) {
    Runtime runtime({.workers = 1, .blocking_threads = 1});
    bool was_called = false;
    runtime.run([&] {
        Gate gate;
        auto first = spawn([&] { EXPECT_TRUE(blocking([&] { return gate.wait(); })); });
        auto second = spawn([&] {
            const auto error = error_of([&] { blocking([&] { was_called = true; }); });
            EXPECT_EQ(error, std::errc::operation_canceled);
        });
        spawn([] {}).join();  // both have called by now
        second.request_stop();
        second.join();
        gate.open();
        first.join();
        blocking([] {});  // it would have come before this
    });
    EXPECT_FALSE(was_called);
}

TEST(Blocking, ACallThatHasNotBegunIsWithdrawnAtTheTaskWideDeadline) {
    Runtime runtime({.workers = 1, .blocking_threads = 1});
    runtime.run([&] {
        Gate gate;
        auto first = spawn([&] { EXPECT_TRUE(blocking([&] { return gate.wait(); })); });
        spawn([] {}).join();  // the first has called by now
        {
            const this_fiber::DeadlineScope all(Deadline::after(5ms));
            EXPECT_EQ(error_of([] { blocking([] {}); }), std::errc::timed_out);
        }
        gate.open();
        first.join();
    });
}

TEST(Blocking, AFiberThatIsToStopCallsBehindAShieldOnly) {
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        Gate begun;
        Gate asked;
        auto fiber = spawn([&] {
            // Waited for though the request comes meanwhile.
            EXPECT_TRUE(blocking([&] {
                begun.open();
                return asked.wait();
            }));
            for (int round = 0; round != 100; ++round) {
                ASSERT_EQ(error_of([] { blocking([] {}); }), std::errc::operation_canceled);
            }
            const this_fiber::Shield shield;
            EXPECT_EQ(blocking([] { return 1; }), 1);
        });
        EXPECT_TRUE(blocking([&] { return begun.wait(); }));
        fiber.request_stop();
        asked.open();
        fiber.join();
    });
}

TEST(Blocking, ACallWhoseDeadlineHasPassedIsNeverMade) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        for (int round = 0; round != 100; ++round) {
            bool was_called = false;
            const auto call = [&] { was_called = true; };
            EXPECT_EQ(error_of([&] { blocking(call, Deadline::at(Clock::now())); }),
                      std::errc::timed_out);
            ASSERT_FALSE(was_called);
        }
    });
}

TEST(Blocking, ACallThatRunsIsWaitedForBeyondItsDeadline) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        Gate begun;
        Gate gate;
        const Deadline deadline = Deadline::after(50ms);
        auto opener = spawn([&] {
            EXPECT_TRUE(blocking([&] { return begun.wait(); }));
            this_fiber::sleep_until(deadline);
            this_fiber::sleep_for(5ms);
            gate.open();
        });
        const bool opened = blocking(
            [&] {
                begun.open();
                return gate.wait();
            },
            deadline);
        EXPECT_TRUE(opened);
        EXPECT_TRUE(deadline.has_passed(Clock::now()));
        opener.join();
    });
}

TEST(Blocking, RunsOnThreadsWithANameAndWithoutSignals) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        sigset_t blocked;
        std::string name(16, '\0');
        blocking([&] {
            pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
            pthread_getname_np(pthread_self(), name.data(), name.size());
        });
        EXPECT_EQ(sigismember(&blocked, SIGTERM), 1);
        EXPECT_EQ(sigismember(&blocked, SIGCHLD), 1);
        EXPECT_EQ(sigismember(&blocked, SIGSEGV), 0) << "a crash must reach its handler";
        EXPECT_STREQ(name.c_str(), "coir-blocking");
        // The worker that started the thread has its own signals again.
        sigset_t of_worker;
        pthread_sigmask(SIG_SETMASK, nullptr, &of_worker);
        EXPECT_EQ(sigismember(&of_worker, SIGWINCH), 0);
    });
}

TEST(Blocking, LeavesNoThreadBehindWhenTheRuntimeEnds) {
    Runtime({.workers = 1}).stop();  // with the first thread, ThreadSanitizer starts one of its own
    const auto before = test::threads_of_this_process();
    for (int round = 0; round != 10; ++round) {
        Runtime runtime({.workers = 2, .blocking_threads = 8});
        runtime.run([] {
            std::vector<FiberHandle<void>> fibers;
            for (int i = 0; i != 32; ++i) {
                fibers.push_back(spawn([] { blocking([] { std::this_thread::yield(); }); }));
            }
            for (auto& fiber : fibers) {
                fiber.join();
            }
        });
        EXPECT_GT(runtime.stats().blocking_threads, 0U);
        runtime.stop();
        EXPECT_EQ(runtime.stats().blocking_threads, 0U);
        EXPECT_EQ(test::threads_of_this_process(), before);
    }
}

TEST(Blocking, DeadlinesRaceWithThreadsThatTakeTheCall) {
    Runtime runtime({.workers = 2, .blocking_threads = 2});
    std::atomic<int> called{0};
    std::atomic<int> returned{0};
    std::atomic<int> withdrawn{0};
    constexpr int kFibers = 16;
    constexpr int kRounds = 200;
    runtime.run([&] {
        std::vector<FiberHandle<void>> fibers;
        for (int i = 0; i != kFibers; ++i) {
            fibers.push_back(spawn([&, i] {
                for (int round = 0; round != kRounds; ++round) {
                    const auto patience = std::chrono::microseconds((i * 37 + round * 11) % 300);
                    try {
                        blocking([&] { ++called; }, Deadline::after(patience));
                        ++returned;
                    } catch (const std::system_error& error) {
                        ASSERT_EQ(error.code(), std::errc::timed_out);
                        ++withdrawn;
                    }
                }
            }));
        }
        for (auto& fiber : fibers) {
            fiber.join();
        }
    });
    EXPECT_EQ(called, returned);
    EXPECT_EQ(returned + withdrawn, kFibers * kRounds);
}

}  // namespace
}  // namespace coir
