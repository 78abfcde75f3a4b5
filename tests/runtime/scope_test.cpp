#include "coir/runtime/scope.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>

#include "coir/base/error.hpp"
#include "coir/runtime/blocking.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

class ScopeTest : public testing::Test {
protected:
    Runtime runtime_{{.workers = 3}};
};

using ScopeOnFibers = ScopeTest;

/// The fibers of a scope may have ended before its owner has heard of the request.
void join_or_be_canceled(Scope& scope) {
    try {
        scope.join();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::operation_canceled);
    }
}

TEST_F(ScopeOnFibers, JoinWaitsForEveryFiber) {
    runtime_.run([] {
        std::atomic<int> ended{0};
        Scope scope;
        for (int i = 0; i != 100; ++i) {
            scope.spawn([&] {
                this_fiber::sleep_for(1ms);
                ++ended;
            });
        }
        scope.join();
        EXPECT_EQ(ended, 100);
    });
}

TEST_F(ScopeOnFibers, GivesTheValuesOfItsFibers) {
    const int sum = runtime_.run([] {
        return scope([](Scope& scope) {
            auto one = scope.spawn([] { return 1; });
            auto two = scope.spawn([] { return 2; });
            return one.join() + two.join();
        });
    });
    EXPECT_EQ(sum, 3);
}

TEST_F(ScopeOnFibers, ABodyMayReturnAReference) {
    // It used to refer to a copy in the frame of scope().
    runtime_.run([] {
        int one = 1;
        EXPECT_EQ(&scope([&](Scope&) -> int& { return one; }), &one);
    });
}

TEST_F(ScopeOnFibers, AFailureStopsTheOthersAndIsRethrownByJoin) {
    runtime_.run([] {
        std::atomic<int> canceled{0};
        Scope scope;
        for (int i = 0; i != 10; ++i) {
            scope.spawn([&] {
                canceled += this_fiber::sleep_for(1h) == std::errc::operation_canceled ? 1 : 0;
            });
        }
        scope.spawn([] { throw std::out_of_range("first"); });
        EXPECT_THROW(scope.join(), std::out_of_range);
        EXPECT_EQ(canceled, 10);
        EXPECT_TRUE(scope.stop_requested());
    });
}

TEST_F(ScopeOnFibers, TheFirstExceptionIsRethrownAndTheOthersAreCounted) {
    runtime_.run([] {
        Scope scope;
        scope.spawn([] { throw std::out_of_range("first"); });
        ASSERT_TRUE(scope.wait(soon()));
        for (int i = 0; i != 4; ++i) {
            scope.spawn([] { throw std::runtime_error("later"); });
        }
        ASSERT_TRUE(scope.wait(soon()));
        EXPECT_EQ(scope.failures(), 5U);
        EXPECT_THROW(scope.join(), std::out_of_range);
        EXPECT_EQ(scope.failures(), 0U);
    });
}

TEST_F(ScopeOnFibers, LeavingItByAnExceptionStopsItsFibersAndWaitsForThem) {
    runtime_.run([] {
        std::atomic<int> ended{0};
        EXPECT_THROW(scope([&](Scope& scope) {
                         for (int i = 0; i != 20; ++i) {
                             scope.spawn([&] {
                                 this_fiber::sleep_for(1h);
                                 std::this_thread::sleep_for(100us);
                                 ++ended;
                             });
                         }
                         throw std::invalid_argument("the body's");
                     }),
                     std::invalid_argument);
        EXPECT_EQ(ended, 20);
    });
}

TEST_F(ScopeOnFibers, TheFailureOfAFiberIsNotHiddenByWhatTheBodyMakesOfIt) {
    runtime_.run([] {
        EXPECT_THROW(scope([](Scope& scope) {
                         scope.spawn([] { throw std::out_of_range("the cause"); });
                         ASSERT_TRUE(scope.wait(soon()));
                         throw std::runtime_error("the consequence");
                     }),
                     std::out_of_range);
    });
}

TEST_F(ScopeOnFibers, ARequestToStopReachesScopesWithinScopes) {
    runtime_.run([] {
        std::atomic<int> waiting{0};
        std::atomic<int> canceled{0};
        auto outer = spawn([&] {
            Scope middle;
            for (int i = 0; i != 4; ++i) {
                middle.spawn([&] {
                    Scope inner;
                    for (int j = 0; j != 4; ++j) {
                        inner.spawn([&] {
                            ++waiting;
                            canceled += this_fiber::sleep_for(1h) ? 1 : 0;
                        });
                    }
                    join_or_be_canceled(inner);
                });
            }
            join_or_be_canceled(middle);
        });
        while (waiting != 16) {
            this_fiber::yield();
        }
        outer.request_stop();
        outer.join();
        EXPECT_EQ(canceled, 16);
    });
}

// One call inside the other would need a stack as deep as the scopes are nested.
TEST_F(ScopeOnFibers, ARequestToStopReachesAsDeepAsScopesAreNested) {
    struct Nested {
        static void begin(int levels, std::atomic<bool>& deepest) {
            Scope scope;
            scope.spawn({.stack_bytes = 16 * 1024}, [levels, &deepest] {
                if (levels == 0) {
                    deepest = true;
                    this_fiber::sleep_for(1h);
                } else {
                    begin(levels - 1, deepest);
                }
            });
            (void)scope.wait(Deadline::never());
        }
    };
    runtime_.run([] {
        std::atomic<bool> deepest{false};
        auto outermost = spawn([&] { Nested::begin(2000, deepest); });
        while (!deepest) {
            this_fiber::sleep_for(100us);
        }
        outermost.request_stop();
        outermost.join();
    });
}

TEST_F(ScopeOnFibers, AFiberOfAStoppedScopeBeginsWithTheRequest) {
    runtime_.run([] {
        Scope scope;
        scope.request_stop();
        EXPECT_TRUE(scope.spawn([] { return this_fiber::stop_requested(); }).join());
        EXPECT_TRUE(scope.spawn([] { return this_fiber::stop_token().stop_requested(); }).join());
        scope.join();
    });
}

TEST_F(ScopeOnFibers, SayingOperationCanceledAfterARequestIsNoFailure) {
    runtime_.run([] {
        Scope scope;
        scope.spawn([] { throw std::system_error(this_fiber::sleep_for(1h)); });
        scope.request_stop();
        EXPECT_NO_THROW(scope.join());
    });
}

TEST_F(ScopeOnFibers, AFiberThatItsHandleAsksToStopStopsNobodyElse) {
    // Its saying operation_canceled used to count as a failure, which stopped the whole scope.
    runtime_.run([] {
        Scope scope;
        auto asked = scope.spawn([] {
            if (const auto error = this_fiber::sleep_for(1h)) {
                throw std::system_error(error);
            }
        });
        Parker go_on;
        auto other = scope.spawn([&] {
            go_on.park(soon()).value();
            return this_fiber::stop_requested();
        });
        asked.request_stop();
        ASSERT_TRUE(asked.wait(soon()));
        go_on.unpark();
        EXPECT_FALSE(other.join());
        EXPECT_NO_THROW(scope.join());
        EXPECT_EQ(scope.failures(), 0U);
        EXPECT_THROW(asked.join(), std::system_error);
    });
}

TEST_F(ScopeOnFibers, AShieldedScopeIsNotReached) {
    runtime_.run([] {
        auto fiber = spawn([] {
            while (!this_fiber::stop_requested()) {
                this_fiber::yield();
            }
            const this_fiber::Shield shield;
            Scope scope;
            auto child = scope.spawn(
                [] { return !this_fiber::stop_requested() && !this_fiber::sleep_for(2ms); });
            return child.join();
        });
        fiber.request_stop();
        EXPECT_TRUE(fiber.join());
    });
}

TEST_F(ScopeOnFibers, ItsFibersCanSpawnIntoIt) {
    runtime_.run([] {
        std::atomic<int> ended{0};
        Scope scope;
        struct Tree {
            static void grow(Scope& scope, std::atomic<int>& ended, int depth) {
                if (depth != 0) {
                    for (int i = 0; i != 2; ++i) {
                        scope.spawn([&scope, &ended, depth] { grow(scope, ended, depth - 1); });
                    }
                }
                ++ended;
            }
        };
        Tree::grow(scope, ended, 8);
        scope.join();
        EXPECT_EQ(ended, (1 << 9) - 1);
    });
}

TEST_F(ScopeOnFibers, PlainThreadsCanSpawnIntoIt) {
    // They used to be told that they are no fibers, unless the scope was made with a Runtime.
    runtime_.run([] {
        Scope scope;
        Parker go_on;
        scope.spawn([&] { go_on.park(soon()).value(); });  // keeps it open for others
        const auto id =
            blocking([&] { return scope.spawn([] { return this_fiber::id(); }).join(); });
        EXPECT_NE(id, 0U);
        go_on.unpark();
        scope.join();
    });
}

TEST_F(ScopeOnFibers, AnOwnerThatIsAskedToStopLeavesJoinAndItsScopeInOrder) {
    runtime_.run([] {
        std::atomic<int> ended{0};
        auto owner = spawn([&] {
            Scope scope;
            for (int i = 0; i != 8; ++i) {
                scope.spawn([&] {
                    (void)this_fiber::sleep_for(1h);
                    ++ended;
                });
            }
            scope.join();
        });
        this_fiber::sleep_for(1ms);
        owner.request_stop();
        try {
            owner.join();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), std::errc::operation_canceled);
        }
        EXPECT_EQ(ended, 8);
    });
}

TEST(ScopeOnAThread, NeedsARuntime) {
    EXPECT_THROW(Scope scope, std::system_error);
    Runtime runtime({.workers = 2});
    std::atomic<int> ended{0};
    {
        Scope scope(runtime);
        for (int i = 0; i != 10; ++i) {
            scope.spawn([&] {
                this_fiber::sleep_for(1ms);
                ++ended;
            });
        }
        scope.join();
        EXPECT_EQ(ended, 10);
        scope.spawn([] { this_fiber::sleep_for(1h); });
    }
}

TEST_F(ScopeOnFibers, RacesOfRequestsEndsAndSpawnsLoseNobody) {
    runtime_.run([] {
        for (int round = 0; round != 300; ++round) {
            std::atomic<int> alive{0};
            {
                Scope scope;
                for (int i = 0; i != 6; ++i) {
                    scope.spawn({.worker = i % 3}, [&scope, &alive, i, round] {
                        ++alive;
                        Scope inner;
                        inner.spawn([&] {
                            ++alive;
                            this_fiber::sleep_for(i % 2 == 0 ? 1h : 1us * (round % 50));
                            --alive;
                        });
                        if (i == 3) {
                            scope.request_stop();
                        }
                        (void)inner.wait(Deadline::never());
                        inner.request_stop();
                        --alive;
                    });
                }
                auto stopper = spawn({.worker = round % 3}, [&] { scope.request_stop(); });
                scope.request_stop();
                stopper.join();
            }
            EXPECT_EQ(alive, 0);
        }
    });
}

}  // namespace
}  // namespace coir
