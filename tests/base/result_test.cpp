#include "coir/base/result.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "coir/base/error.hpp"

namespace coir {
namespace {

TEST(Result, HoldsAValue) {
    Result<int> result(7);
    EXPECT_TRUE(result);
    EXPECT_TRUE(result.has_value());
    EXPECT_EQ(*result, 7);
    EXPECT_EQ(result.value(), 7);
    EXPECT_FALSE(result.error());
    EXPECT_EQ(std::move(result).value_or(8), 7);
}

TEST(Result, HoldsAnErrorOfAnyKind) {
    const Result<int> of_a_code(std::make_error_code(std::errc::timed_out));
    const Result<int> of_a_condition(std::errc::timed_out);
    const Result<int> of_ours(Errc::unexpected_eof);
    EXPECT_FALSE(of_a_code);
    EXPECT_EQ(of_a_code.error(), std::errc::timed_out);
    EXPECT_EQ(of_a_condition.error(), std::errc::timed_out);
    EXPECT_EQ(of_ours.error(), Errc::unexpected_eof);
    EXPECT_EQ(Result<int>(Errc::unexpected_eof).value_or(8), 8);
}

TEST(Result, ValueThrowsTheError) {
    const Result<int> result(Errc::malformed_number);
    try {
        (void)result.value();
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), Errc::malformed_number);
    }
}

TEST(Result, MovesItsValueOut) {
    Result<std::unique_ptr<std::string>> result(std::make_unique<std::string>("moved"));
    EXPECT_EQ(result->get()->size(), 5U);
    const std::unique_ptr<std::string> text = *std::move(result);
    EXPECT_EQ(*text, "moved");
}

TEST(Result, OfAWordIsTwoWords) {
    enum class Progress { some, all };
    struct Pair {
        std::uint32_t first;
        std::uint32_t second;
    };
    static_assert(std::is_trivially_copyable_v<Result<std::size_t>>);
    static_assert(sizeof(Result<std::size_t>) == 2 * sizeof(void*));
    EXPECT_EQ(*Result<Progress>(Progress::some), Progress::some);
    EXPECT_FALSE(*Result<bool>(false));
    Result<Pair> pair(Pair{1, 2});
    pair->second = 3;
    EXPECT_EQ((*pair).second, 3U);
    pair = Errc::unexpected_eof;
    EXPECT_EQ(pair.error(), Errc::unexpected_eof);
    pair = Pair{4, 5};
    EXPECT_EQ(pair->first, 4U);
    EXPECT_FALSE(pair.error());
}

TEST(Result, OfNothingIsSuccessOrAnError) {
    const Result<void> success;
    EXPECT_TRUE(success);
    EXPECT_FALSE(success.error());
    EXPECT_NO_THROW(success.value());
    const Result<void> ours(Errc::channel_closed);
    EXPECT_FALSE(ours);
    EXPECT_EQ(ours.error(), Errc::channel_closed);
    EXPECT_EQ(ours.error().category(), coir_category());
    const Result<void> of_the_kernel(std::error_code(EPIPE, std::system_category()));
    EXPECT_EQ(of_the_kernel.error(), std::errc::broken_pipe);
    EXPECT_THROW(of_the_kernel.value(), std::system_error);
}

Result<std::unique_ptr<int>> halve(Result<int> number) {
    COIR_TRY(const int whole, std::move(number));
    if (whole % 2 != 0) {
        return std::errc::invalid_argument;
    }
    return std::make_unique<int>(whole / 2);
}

Result<int> quarter(int number) {
    COIR_TRY(auto half, halve(number));
    COIR_TRY(auto quarter, halve(*half));
    return *quarter;
}

TEST(Result, TryGivesTheValueOrReturnsTheError) {
    EXPECT_EQ(quarter(12).value(), 3);
    EXPECT_EQ(quarter(6).error(), std::errc::invalid_argument);
    EXPECT_EQ(halve(Errc::malformed_number).error(), Errc::malformed_number);
}

#ifndef NDEBUG
TEST(ResultDeathTest, TheValueOfAnErrorIsABug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const Result<int> result(Errc::malformed_number);
    EXPECT_DEATH((void)*result, "broken invariant");
}
#endif

}  // namespace
}  // namespace coir
