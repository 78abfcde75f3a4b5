#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/condition_variable.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/thrown.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// The C++ runtime keeps what is being thrown and caught per thread, but fibers move. Under Boost 1.81 to
// 1.87 alone, two fibers that suspend in a catch block rethrow each other's exception.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::being_handled;
using test::kNothing;
using test::neighbour;
using test::soon;
using test::Thrown;

void by_yield() {
    this_fiber::yield();
}

void by_sleep() {
    this_fiber::sleep_for(50us);
}

/// Whoever ends a joined fiber takes the joining one over: this moves it to the neighbour.
void by_join() {
    spawn({.worker = neighbour(), .pinned = true}, [] { this_fiber::sleep_for(20us); }).join();
}

void by_join_of_a_thrower() {
    auto thrower = spawn({.worker = neighbour(), .pinned = true},
                         [] { throw std::out_of_range("of another fiber"); });
    EXPECT_THROW(thrower.join(), std::out_of_range);
}

void by_io() {
    IoSource source(test::make_eventfd());
    test::JoinedFiber other =
        spawn({.worker = neighbour(), .pinned = true}, [&] { test::signal(source.fd()); });
    while (test::take_signals(source.fd()) == 0) {
        ASSERT_TRUE(source.wait_readable(soon()));
    }
}

void by_timeout() {
    IoSource source(test::make_eventfd());
    EXPECT_EQ(source.wait_readable(Deadline::after(1ms)).error(), std::errc::timed_out);
}

void by_condition() {
    Mutex mutex;
    ConditionVariable changed;
    bool told = false;
    auto other = spawn({.worker = neighbour(), .pinned = true}, [&] {
        const std::lock_guard lock(mutex);
        told = true;
        changed.notify_one();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return told; });
    lock.unlock();
    other.join();
}

struct Way {
    const char* name;
    void (*suspend)();
};

/// All of them in turns, beginning with another one in each fiber.
void by_turns() {
    static std::atomic<unsigned> turn{0};
    constexpr std::array kWays{by_yield, by_sleep,   by_join,     by_join_of_a_thrower,
                               by_io,    by_timeout, by_condition};
    kWays[turn.fetch_add(1, std::memory_order_relaxed) % kWays.size()]();
}

class ExceptionState : public testing::TestWithParam<Way> {
protected:
    static constexpr int kFibers = 24;
    static constexpr int kRounds = 12;

    static void suspend() { GetParam().suspend(); }

    /// Runs `body(fiber)` on many fibers of three workers; says how often they changed workers.
    template <typename F>
    void run_on_many_fibers(F body) {
        Runtime runtime({.workers = 3});
        runtime.run([&] {
            std::vector<test::JoinedFiber<void>> fibers;
            for (int fiber = 0; fiber != kFibers; ++fiber) {
                fibers.push_back(spawn({.worker = fiber % 3}, [&body, fiber] {
                    for (int round = 0; round != kRounds; ++round) {
                        body(fiber);
                        EXPECT_EQ(being_handled(), kNothing);
                        EXPECT_EQ(std::uncaught_exceptions(), 0);
                    }
                }));
            }
        });
    }
};

INSTANTIATE_TEST_SUITE_P(Suspended, ExceptionState,
                         testing::Values(Way{"ByYield", by_yield}, Way{"BySleep", by_sleep},
                                         Way{"ByJoin", by_join},
                                         Way{"ByJoinOfAThrower", by_join_of_a_thrower},
                                         Way{"ByIo", by_io}, Way{"ByTimeout", by_timeout},
                                         Way{"ByCondition", by_condition},
                                         Way{"ByTurns", by_turns}),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(ExceptionState, OfACatchBlockIsStillThereAfterASuspension) {
    run_on_many_fibers([](int fiber) {
        const Thrown mine{fiber, 0};
        try {
            throw mine;
        } catch (const Thrown& caught) {
            suspend();
            EXPECT_EQ(caught, mine);
            EXPECT_EQ(being_handled(), mine);
            EXPECT_EQ(std::uncaught_exceptions(), 0);
        }
    });
}

TEST_P(ExceptionState, MakesABareThrowRethrowTheFibersOwnException) {
    run_on_many_fibers([](int fiber) {
        const Thrown mine{fiber, 0};
        try {
            try {
                throw mine;
            } catch (...) {
                suspend();
                throw;
            }
        } catch (const Thrown& caught) {
            EXPECT_EQ(caught, mine);
            suspend();
            EXPECT_EQ(being_handled(), mine);
        }
    });
}

/// Suspends in its destructor, while `expected` exceptions are on their way.
class SuspendsAtTheEnd final {
public:
    SuspendsAtTheEnd(void (*suspend)(), int expected) : suspend_(suspend), expected_(expected) {}
    SuspendsAtTheEnd(const SuspendsAtTheEnd&) = delete;
    ~SuspendsAtTheEnd() {
        EXPECT_EQ(std::uncaught_exceptions(), expected_);
        suspend_();
        EXPECT_EQ(std::uncaught_exceptions(), expected_);
    }

private:
    void (*suspend_)();
    int expected_;
};

TEST_P(ExceptionState, CountsTheExceptionsInFlightWhileADestructorSuspends) {
    run_on_many_fibers([](int fiber) {
        { const SuspendsAtTheEnd nothing_thrown(suspend, 0); }
        try {
            const SuspendsAtTheEnd outer(suspend, 1);
            const SuspendsAtTheEnd inner(suspend, 1);
            throw Thrown{fiber, 0};
        } catch (const Thrown& caught) {
            EXPECT_EQ(caught, (Thrown{fiber, 0}));
            EXPECT_EQ(std::uncaught_exceptions(), 0);
        }
    });
}

/// Throws, suspends and catches in its destructor, while another exception is on its way.
class ThrowsAtTheEnd final {
public:
    ThrowsAtTheEnd(void (*suspend)(), int fiber) : suspend_(suspend), fiber_(fiber) {}
    ThrowsAtTheEnd(const ThrowsAtTheEnd&) = delete;
    ~ThrowsAtTheEnd() {
        try {
            const SuspendsAtTheEnd in_flight(suspend_, 2);
            throw Thrown{fiber_, 1};
        } catch (const Thrown& caught) {
            suspend_();
            EXPECT_EQ(caught, (Thrown{fiber_, 1}));
            EXPECT_EQ(being_handled(), (Thrown{fiber_, 1}));
            EXPECT_EQ(std::uncaught_exceptions(), 1);
        }
        EXPECT_EQ(being_handled(), kNothing);
    }

private:
    void (*suspend_)();
    int fiber_;
};

TEST_P(ExceptionState, HoldsAnExceptionThatIsCaughtWhileAnotherOneUnwinds) {
    run_on_many_fibers([](int fiber) {
        try {
            const ThrowsAtTheEnd thrower(suspend, fiber);
            throw Thrown{fiber, 0};
        } catch (const Thrown& caught) {
            suspend();
            EXPECT_EQ(caught, (Thrown{fiber, 0}));
            EXPECT_EQ(being_handled(), (Thrown{fiber, 0}));
        }
    });
}

void nest(void (*suspend)(), int fiber, int depth) {
    if (depth == 4) {
        return;
    }
    const Thrown mine{fiber, depth};
    try {
        throw mine;
    } catch (const Thrown& caught) {
        suspend();
        nest(suspend, fiber, depth + 1);
        EXPECT_EQ(being_handled(), mine);
        suspend();
        EXPECT_EQ(caught, mine);
        EXPECT_EQ(being_handled(), mine);
    }
}

TEST_P(ExceptionState, OfNestedCatchBlocksUnrollsInOrder) {
    run_on_many_fibers([](int fiber) { nest(suspend, fiber, 0); });
}

TEST_P(ExceptionState, IsEmptyInAFiberThatIsStartedFromACatchBlockOrADestructor) {
    struct StartsAFiber {
        ~StartsAFiber() { expect_an_empty_state_elsewhere(); }
        static void expect_an_empty_state_elsewhere() {
            spawn([] {
                EXPECT_EQ(being_handled(), kNothing);
                EXPECT_EQ(std::uncaught_exceptions(), 0);
                suspend();
                EXPECT_EQ(being_handled(), kNothing);
                EXPECT_EQ(std::uncaught_exceptions(), 0);
            }).join();
        }
    };
    run_on_many_fibers([](int fiber) {
        try {
            const StartsAFiber in_flight;
            throw Thrown{fiber, 0};
        } catch (const Thrown&) {
            StartsAFiber::expect_an_empty_state_elsewhere();
            EXPECT_EQ(being_handled(), (Thrown{fiber, 0}));
        }
    });
}

TEST_P(ExceptionState, OfOneSharedExceptionIsRightInEveryFiberThatRethrowsIt) {
    const std::exception_ptr shared = std::make_exception_ptr(Thrown{1000, 7});
    run_on_many_fibers([&](int fiber) {
        try {
            std::rethrow_exception(shared);
        } catch (const Thrown& caught) {
            suspend();
            EXPECT_EQ(caught, (Thrown{1000, 7}));
            try {
                throw Thrown{fiber, 1};
            } catch (...) {
                suspend();
                EXPECT_EQ(being_handled(), (Thrown{fiber, 1}));
            }
            EXPECT_EQ(being_handled(), (Thrown{1000, 7}));
        }
    });
}

}  // namespace
}  // namespace coir
