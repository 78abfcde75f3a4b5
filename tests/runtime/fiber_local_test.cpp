#include "coir/runtime/fiber_local.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/joined_fiber.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;

TEST(FiberLocal, EveryFiberHasItsOwnAlsoAfterItHasMoved) {
    FiberLocal<int> number;
    Runtime runtime({.workers = 3});
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != 60; ++i) {
            fibers.push_back(spawn({.worker = i % 3}, [&, i] {
                EXPECT_EQ(*number, 0);
                *number = i;
                for (int turn = 0; turn != 20; ++turn) {
                    this_fiber::sleep_for(50us);
                    EXPECT_EQ(*number, i);
                }
            }));
        }
    });
    EXPECT_EQ(*number, 0);  // the thread's
}

TEST(FiberLocal, SeveralVariablesDoNotMix) {
    FiberLocal<int> number;
    FiberLocal<std::string> text;
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        *number = 5;
        text->append("five");
        EXPECT_EQ(*number, 5);
        EXPECT_EQ(*text, "five");
        number.reset();
        EXPECT_EQ(*number, 0);
        EXPECT_EQ(*text, "five");
    });
}

struct Counted {
    static inline std::atomic<int> alive{0};
    Counted() { ++alive; }
    ~Counted() {
        this_fiber::sleep_for(1ms);  // a destructor may wait
        --alive;
    }
};

TEST(FiberLocal, ValuesAreDestroyedBeforeTheJoinerGoesOn) {
    FiberLocal<Counted> counted;
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        for (int i = 0; i != 10; ++i) {
            spawn([&] {
                (void)counted.get();
                EXPECT_EQ(Counted::alive, 1);
            }).join();
            EXPECT_EQ(Counted::alive, 0);
        }
        for (int i = 0; i != 10; ++i) {
            spawn_detached({}, [&] { (void)counted.get(); });
        }
    });
    runtime.stop();
    EXPECT_EQ(Counted::alive, 0);
    std::thread([&] { (void)counted.get(); }).join();
    EXPECT_EQ(Counted::alive, 0);
}

TEST(FiberLocal, ADestructorMayUseOtherVariables) {
    static FiberLocal<std::string> log;
    struct Writer {
        ~Writer() { *log += "destroyed"; }
    };
    FiberLocal<Writer> writer;
    Runtime runtime({.workers = 1});
    runtime.run([&] { spawn([&] { (void)writer.get(); }).join(); });
}

}  // namespace
}  // namespace coir
