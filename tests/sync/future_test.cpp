#include "coir/sync/future.hpp"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "support/joined_fiber.hpp"
#include "sync/on_workers.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

/// The code of the std::future_error that `f` throws; none if it throws none.
template <typename F>
std::error_code future_error_of(F f) {
    try {
        f();
    } catch (const std::future_error& error) {
        return error.code();
    }
    return {};
}

TEST(Future, GetsWhatThePromiseWasGiven) {
    Runtime runtime({.workers = 2});
    Promise<std::string> promise;
    Future<std::string> future = promise.get_future();
    EXPECT_FALSE(future.is_ready());
    auto fiber = runtime.spawn([&] { return future.get(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "an event"));
    promise.set_value("done");
    EXPECT_EQ(fiber.join(), "done");
    EXPECT_FALSE(future.valid());
}

TEST(Future, CarriesNothingReferencesAndWhatCanOnlyBeMoved) {
    Promise<void> nothing;
    auto nothing_came = nothing.get_future();
    nothing.set_value();
    nothing_came.get();

    int number = 5;
    Promise<int&> reference;
    auto referred = reference.get_future();
    reference.set_value(number);
    EXPECT_EQ(&referred.get(), &number);

    Promise<std::unique_ptr<int>> unique;
    auto moved = unique.get_future();
    unique.set_value(std::make_unique<int>(7));
    EXPECT_EQ(*moved.get(), 7);
}

TEST(Future, RethrowsTheExceptionOfThePromise) {
    Promise<int> promise;
    auto future = promise.get_future();
    std::thread([&] {
        promise.set_exception(std::make_exception_ptr(std::runtime_error("broken")));
    }).join();
    EXPECT_THROW(future.get(), std::runtime_error);
    EXPECT_FALSE(future.valid());
}

TEST(Future, SaysThatThePromiseWentWithoutAWord) {
    Runtime runtime({.workers = 1});
    auto promise = std::make_unique<Promise<int>>();
    auto future = promise->get_future();
    auto fiber = runtime.spawn([&] { return future_error_of([&] { future.get(); }); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "an event"));
    promise.reset();
    EXPECT_EQ(fiber.join(), std::future_errc::broken_promise);

    Promise<int> replaced;
    auto orphan = replaced.get_future();
    replaced = Promise<int>();
    EXPECT_EQ(future_error_of([&] { orphan.get(); }), std::future_errc::broken_promise);
}

TEST(Future, LetsWhoGotTheOutcomeDestroyThePromiseAtOnce) {
    for (int round = 0; round != 1000; ++round) {
        auto promise = std::make_unique<Promise<int>>();
        auto future = promise->get_future();
        auto& used = *promise;
        std::thread thread([&] {
            EXPECT_EQ(future.get(), round);
            promise.reset();
        });
        used.set_value(round);
        thread.join();
    }
}

TEST(Future, APromiseThatIsMovedToItselfStaysAsItWas) {
    Promise<int> promise;
    auto future = promise.get_future();
    auto& same = promise;
    promise = std::move(same);
    promise.set_value(7);
    EXPECT_EQ(future.get(), 7);
}

TEST(Future, MisuseIsAFutureError) {
    Promise<int> promise;
    auto future = promise.get_future();
    EXPECT_EQ(future_error_of([&] { (void)promise.get_future(); }),
              std::future_errc::future_already_retrieved);
    promise.set_value(1);
    EXPECT_EQ(future_error_of([&] { promise.set_value(2); }),
              std::future_errc::promise_already_satisfied);
    EXPECT_EQ(future_error_of([&] {
                  promise.set_exception(std::make_exception_ptr(std::runtime_error("late")));
              }),
              std::future_errc::promise_already_satisfied);
    EXPECT_EQ(future.get(), 1);
    EXPECT_EQ(future_error_of([&] { future.get(); }), std::future_errc::no_state);
    const Promise<int> taken(std::move(promise));
    EXPECT_EQ(future_error_of([&] { promise.set_value(1); }), std::future_errc::no_state);
    EXPECT_EQ(future_error_of([] { (void)Future<int>().is_ready(); }), std::future_errc::no_state);
}

TEST(Future, AValueThatCannotBeCopiedLeavesThePromiseAsItWas) {
    struct Fragile {
        explicit Fragile(bool breaks) : breaks_(breaks) {}
        Fragile(const Fragile& other) : breaks_(other.breaks_) {
            if (breaks_) {
                throw std::runtime_error("no copy");
            }
        }
        bool breaks_;
    };
    Promise<Fragile> promise;
    auto future = promise.get_future();
    EXPECT_THROW(promise.set_value(Fragile(true)), std::runtime_error);
    EXPECT_FALSE(future.is_ready());
    promise.set_value(Fragile(false));
    EXPECT_FALSE(future.get().breaks_);
}

TEST(Future, StaysValidWhenTheWaitForItIsCanceled) {
    Runtime runtime({.workers = 1});
    Promise<int> promise;
    auto future = promise.get_future();
    auto fiber = runtime.spawn([&] { return future.get(); });
    ASSERT_TRUE(test::wait_for_waiting(runtime, "an event"));
    fiber.request_stop();
    try {
        fiber.join();
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::operation_canceled);
    }
    ASSERT_TRUE(future.valid());
    promise.set_value(3);
    EXPECT_EQ(future.get(), 3);
}

TEST(SharedFuture, GivesItsOutcomeToAllWhoHaveACopy) {
    Runtime runtime({.workers = 2});
    Promise<std::string> promise;
    auto future = promise.get_future();
    SharedFuture<std::string> shared = future.share();
    EXPECT_FALSE(future.valid());
    std::vector<test::JoinedFiber<const std::string*>> fibers;
    for (int i = 0; i != 5; ++i) {
        fibers.push_back(runtime.spawn([shared] { return &shared.get(); }));
    }
    ASSERT_TRUE(test::wait_for_waiting(runtime, "an event", 5));
    promise.set_value("for all");
    for (auto& fiber : fibers) {
        EXPECT_EQ(fiber.join(), &shared.get());
    }
    EXPECT_EQ(shared.get(), "for all");
}

}  // namespace
}  // namespace coir
