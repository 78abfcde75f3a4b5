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
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// The C++ runtime keeps what is being thrown and caught per thread, but fibers move. Under Boost 1.81 to
// 1.87 alone, two fibers that suspend in a catch block rethrow each other's exception.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

int neighbour() {
    return (this_worker::index() + 1) % this_worker::count();
}

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

/// What a fiber throws: who, and how deep in its nest.
struct Thrown {
    int fiber;
    int depth;
    friend bool operator==(const Thrown&, const Thrown&) = default;
};

std::ostream& operator<<(std::ostream& out, const Thrown& thrown) {
    return out << "fiber " << thrown.fiber << ", depth " << thrown.depth;
}

constexpr Thrown kNothing{-1, -1};
constexpr Thrown kForeign{-2, -2};

Thrown rethrown_by(const std::exception_ptr& exception) {
    if (!exception) {
        return kNothing;
    }
    try {
        std::rethrow_exception(exception);
    } catch (const Thrown& thrown) {
        return thrown;
    } catch (...) {
        return kForeign;
    }
}

Thrown being_handled() {
    return rethrown_by(std::current_exception());
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

/// Moves the fiber for sure: to the neighbour, in whose thread an exception is being handled.
void by_move() {
    const int before = this_worker::index();
    const Deadline deadline = soon();
    do {
        spawn({.worker = neighbour(), .pinned = true}, [] {
            try {
                throw Thrown{-7, 0};  // so that the target's state is not empty
            } catch (const Thrown&) {
                this_fiber::sleep_for(20us);
            }
        }).join();
        ASSERT_FALSE(deadline.has_passed(Deadline::Clock::now()));
    } while (this_worker::index() == before);
}

/// A destructor that throws, catches, and in the catch block unwinds another frame whose destructor does
/// the same, `depth` times; each moves the fiber at every step.
class UnwindsDeeper final {
public:
    UnwindsDeeper(int fiber, int depth, int uncaught)
        : fiber_(fiber), depth_(depth), uncaught_(uncaught) {}
    UnwindsDeeper(const UnwindsDeeper&) = delete;
    ~UnwindsDeeper() {
        EXPECT_EQ(std::uncaught_exceptions(), uncaught_);
        by_move();
        EXPECT_EQ(std::uncaught_exceptions(), uncaught_);
        if (depth_ == 0) {
            return;
        }
        const Thrown mine{fiber_, depth_};
        try {
            const UnwindsDeeper next(fiber_, depth_ - 1, uncaught_ + 1);
            throw mine;
        } catch (const Thrown& caught) {
            by_move();
            EXPECT_EQ(caught, mine);
            EXPECT_EQ(being_handled(), mine);
            EXPECT_EQ(std::uncaught_exceptions(), uncaught_);
            try {
                const UnwindsDeeper next(fiber_, depth_ - 1, uncaught_ + 1);
                throw;  // the one that is being handled, a second time
            } catch (const Thrown& again) {
                by_move();
                EXPECT_EQ(&again, &caught);
                EXPECT_EQ(being_handled(), mine);
            }
            EXPECT_EQ(being_handled(), mine);
        }
        EXPECT_EQ(std::uncaught_exceptions(), uncaught_);
    }

private:
    int fiber_;
    int depth_;
    int uncaught_;
};

class ExceptionStateOnTheMove : public testing::Test {
protected:
    static constexpr int kRounds = 5;

    /// Runs `body(fiber)` on fibers that all move at every step, and meet in all stages of it.
    template <typename F>
    void run_on_moving_fibers(F body) {
        Runtime runtime({.workers = 3});
        std::vector<test::JoinedFiber<void>> fibers;
        for (int fiber = 0; fiber != 6; ++fiber) {
            fibers.push_back(runtime.spawn({.worker = fiber % 3}, [&body, fiber] {
                for (int round = 0; round != kRounds; ++round) {
                    body(fiber);
                    EXPECT_EQ(being_handled(), kNothing);
                    EXPECT_EQ(std::uncaught_exceptions(), 0);
                }
            }));
        }
    }
};

TEST_F(ExceptionStateOnTheMove, OfCatchBlocksInDestructorsInUnwindingInCatchBlocks) {
    run_on_moving_fibers([](int fiber) {
        try {
            const UnwindsDeeper outer(fiber, 3, 1);
            throw Thrown{fiber, 9};
        } catch (const Thrown& caught) {
            by_move();
            EXPECT_EQ(caught, (Thrown{fiber, 9}));
            const UnwindsDeeper no_exception_in_flight(fiber, 2, 0);
        }
    });
}

TEST_F(ExceptionStateOnTheMove, OfABareThrowAfterTheMove) {
    run_on_moving_fibers([](int fiber) {
        const auto rethrow = [] {
            by_move();
            throw;  // not in sight of the catch block: by the state alone
        };
        try {
            try {
                try {
                    throw Thrown{fiber, 1};
                } catch (...) {
                    by_move();
                    rethrow();
                }
            } catch (const Thrown& caught) {
                EXPECT_EQ(caught, (Thrown{fiber, 1}));
                rethrow();
            }
            ADD_FAILURE() << "nothing was rethrown";
        } catch (const Thrown& caught) {
            EXPECT_EQ(caught, (Thrown{fiber, 1}));
        }
    });
}

/// Counts how many are alive, to see that an exception is freed once, when the last has let go of it.
struct Counted {
    explicit Counted(std::atomic<int>& counter) : alive(&counter) { ++*alive; }
    Counted(const Counted& other) : alive(other.alive) { ++*alive; }
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*alive; }
    std::atomic<int>* alive;
};

TEST_F(ExceptionStateOnTheMove, OfAnExceptionThatOtherFibersAndThreadsHandleToo) {
    std::atomic<int> alive{0};
    run_on_moving_fibers([&](int fiber) {
        std::exception_ptr mine;
        try {
            throw Counted(alive);
        } catch (const Counted& caught) {
            mine = std::current_exception();
            by_move();
            EXPECT_EQ(std::current_exception(), mine);
            const auto handles_it = [&mine, &caught] {
                try {
                    std::rethrow_exception(mine);
                } catch (const Counted& same) {
                    EXPECT_EQ(&same, &caught);
                    this_fiber::sleep_for(20us);
                    EXPECT_EQ(std::current_exception(), mine);
                }
            };
            auto other = spawn({.worker = fiber % 3}, [&] {
                handles_it();
                by_move();
                handles_it();
            });
            std::thread thread(handles_it);
            by_move();
            thread.join();
            other.join();
            EXPECT_EQ(std::current_exception(), mine);
        }
        EXPECT_EQ(std::current_exception(), nullptr);
    });
    EXPECT_EQ(alive, 0);
}

TEST(ExceptionStateOnWorkers, GoesWithAFiberThatMovesInACatchBlock) {
    // The tests above move fibers by chance; here each suspension must have moved this one.
    Runtime runtime({.workers = 3});
    runtime.run([] {
        int moves = 0;
        for (int round = 0; round != 200; ++round) {
            try {
                throw Thrown{round, 0};
            } catch (const Thrown&) {
                const int before = this_worker::index();
                spawn({.worker = neighbour(), .pinned = true}, [] {
                    try {
                        throw Thrown{-7, 0};  // so that the target's state is not empty
                    } catch (const Thrown&) {
                        this_fiber::sleep_for(20us);
                    }
                }).join();
                moves += this_worker::index() != before;
                EXPECT_EQ(being_handled(), (Thrown{round, 0}));
            }
        }
        EXPECT_GT(moves, 20);
    });
}

}  // namespace
}  // namespace coir
