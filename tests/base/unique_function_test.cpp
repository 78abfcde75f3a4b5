#include "coir/base/unique_function.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace coir {
namespace {

TEST(UniqueFunction, IsEmptyAtFirst) {
    const UniqueFunction<void()> function;
    EXPECT_FALSE(function);
}

TEST(UniqueFunction, CallsWhatItHolds) {
    UniqueFunction<int(int, int)> add = [](int a, int b) { return a + b; };
    EXPECT_TRUE(add);
    EXPECT_EQ(add(2, 3), 5);
    UniqueFunction<int(int)> absolute = static_cast<int (*)(int)>(std::abs);
    EXPECT_EQ(absolute(-4), 4);
}

TEST(UniqueFunction, HoldsWhatCanOnlyBeMoved) {
    UniqueFunction<std::string()> function = [text = std::make_unique<std::string>("moved")] {
        return *text;
    };
    UniqueFunction<std::string()> other = std::move(function);
    EXPECT_FALSE(function);
    EXPECT_EQ(other(), "moved");
}

TEST(UniqueFunction, PassesArgumentsOnAsTheyAre) {
    UniqueFunction<std::unique_ptr<int>(std::unique_ptr<int>, int&)> function =
        [](std::unique_ptr<int> owned, int& counted) {
            ++counted;
            return owned;
        };
    int calls = 0;
    EXPECT_EQ(*function(std::make_unique<int>(5), calls), 5);
    EXPECT_EQ(calls, 1);
}

TEST(UniqueFunction, KeepsTheStateOfItsCallable) {
    UniqueFunction<int()> count = [n = 0]() mutable { return ++n; };
    EXPECT_EQ(count(), 1);
    EXPECT_EQ(count(), 2);
}

TEST(UniqueFunction, DropsAResultThatNobodyWants) {
    UniqueFunction<void()> function = [] { return 42; };
    function();
}

TEST(UniqueFunction, DestroysItsCallableWithItself) {
    auto shared = std::make_shared<int>(1);
    {
        const UniqueFunction<void()> function = [shared] {};
        EXPECT_EQ(shared.use_count(), 2);
    }
    EXPECT_EQ(shared.use_count(), 1);
    UniqueFunction<void()> function = [shared] {};
    function = UniqueFunction<void()>();
    EXPECT_EQ(shared.use_count(), 1);
}

}  // namespace
}  // namespace coir
