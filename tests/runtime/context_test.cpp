#include "coir/runtime/context.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "coir/runtime/parker.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/scope.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;

const ContextKey<std::string> request_id;
const ContextKey<int> attempt;

std::string id() {
    const std::string* const found = request_id.get();
    return found == nullptr ? "none" : *found;
}

int attempts() {
    const int* const found = attempt.get();
    return found == nullptr ? -1 : *found;
}

TEST(Context, IsNullUntilSomebodySetsIt) {
    EXPECT_EQ(request_id.get(), nullptr);
    Runtime runtime({.workers = 1});
    EXPECT_EQ(runtime.run(id), "none");
}

TEST(Context, InnerValuesHideOuterOnesUntilTheyEnd) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        const WithContext outer(request_id, "outer");
        const WithContext number(attempt, 1);
        {
            const WithContext inner(request_id, "inner");
            EXPECT_EQ(id(), "inner");
            EXPECT_EQ(attempts(), 1);
        }
        EXPECT_EQ(id(), "outer");
    });
}

TEST(Context, IsInheritedByAllKindsOfFibersAndKeptByThem) {
    Runtime runtime({.workers = 2});
    runtime.run([] {
        Parker go_on;
        Parker done;
        FiberHandle<std::string> late;
        {
            const WithContext with(request_id, "7f3a");
            EXPECT_EQ(spawn(id).join(), "7f3a");
            scope([](Scope& scope) { EXPECT_EQ(scope.spawn(id).join(), "7f3a"); });
            spawn_detached({}, [&] {
                EXPECT_EQ(id(), "7f3a");
                done.unpark();
            });
            late = spawn([&] {
                (void)go_on.park(test::soon());
                return id();
            });
        }
        EXPECT_EQ(id(), "none");
        go_on.unpark();
        EXPECT_EQ(late.join(), "7f3a");
        EXPECT_TRUE(done.park(test::soon()));
    });
}

TEST(Context, IsInheritedFromAPlainThread) {
    Runtime runtime({.workers = 1});
    const WithContext with(request_id, "of the thread");
    EXPECT_EQ(runtime.run(id), "of the thread");
    EXPECT_EQ(id(), "of the thread");
    std::thread([] { EXPECT_EQ(id(), "none"); }).join();
}

TEST(Context, ValuesAreDestroyedWithTheLastFiberThatHasThem) {
    static const ContextKey<std::shared_ptr<int>> key;
    auto value = std::make_shared<int>(1);
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        FiberHandle<void> holder;
        {
            const WithContext with(key, value);
            holder = spawn([] { this_fiber::sleep_for(1ms); });
        }
        EXPECT_EQ(value.use_count(), 2);
        holder.join();
    });
    runtime.stop();
    EXPECT_EQ(value.use_count(), 1);
}

TEST(Context, ADestructorOfAValueMaySuspendAndUseTheFiber) {
    // It used to run when its fiber had ended, on the worker's dispatcher, which cannot wait.
    struct Waiting {
        std::uint64_t* fiber;
        ~Waiting() {
            this_fiber::sleep_for(1ms);
            *fiber = this_fiber::id();
        }
    };
    static const ContextKey<std::unique_ptr<Waiting>> key;
    Runtime runtime({.workers = 1});
    runtime.run([] {
        std::uint64_t destroyed_by = 0;
        std::uint64_t id = 0;
        Parker go_on;
        FiberHandle<void> holder;
        {
            const WithContext with(key, std::make_unique<Waiting>(&destroyed_by));
            holder = spawn([&] {
                id = this_fiber::id();
                (void)go_on.park(Deadline::never());
            });
        }
        go_on.unpark();
        holder.join();
        EXPECT_NE(id, 0U);
        EXPECT_EQ(destroyed_by, id);  // before its joiner goes on
    });
}

}  // namespace
}  // namespace coir
