#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/thrown.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

// As exception_state_test.cpp, but every suspension moves the fiber to another thread.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::being_handled;
using test::kNothing;
using test::neighbour;
using test::soon;
using test::Thrown;

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
