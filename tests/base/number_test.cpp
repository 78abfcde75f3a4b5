#include "coir/base/number.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace coir {
namespace {

TEST(ParseInteger, TakesDecimalDigits) {
    EXPECT_EQ(parse_integer<int>("0").value(), 0);
    EXPECT_EQ(parse_integer<int>("42").value(), 42);
    EXPECT_EQ(parse_integer<int>("-42").value(), -42);
    EXPECT_EQ(parse_integer<std::uint16_t>("00080").value(), 80);
}

TEST(ParseInteger, TakesBothEndsOfTheType) {
    EXPECT_EQ(parse_integer<std::int64_t>("9223372036854775807").value(),
              std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(parse_integer<std::int64_t>("-9223372036854775808").value(),
              std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(parse_integer<std::uint64_t>("18446744073709551615").value(),
              std::numeric_limits<std::uint64_t>::max());
}

TEST(ParseInteger, NeverWrapsAround) {
    for (const char* text :
         {"9223372036854775808", "-9223372036854775809", "99999999999999999999999999999999999"}) {
        EXPECT_EQ(parse_integer<std::int64_t>(text).error(), Errc::number_out_of_range) << text;
    }
    EXPECT_EQ(parse_integer<std::uint64_t>("18446744073709551616").error(),
              Errc::number_out_of_range);
    EXPECT_EQ(parse_integer<std::uint16_t>("65536").error(), Errc::number_out_of_range);
}

TEST(ParseInteger, RefusesEverythingElse) {
    for (const char* text :
         {"", " ", "-", "+1", " 1", "1 ", "1\n", "0x10", "1.0", "1e3", "--1", "a", "1a", "1,000"}) {
        EXPECT_EQ(parse_integer<std::int64_t>(text).error(), Errc::malformed_number)
            << '"' << text << '"';
    }
    EXPECT_EQ(parse_integer<int>(std::string("1\0", 2)).error(), Errc::malformed_number);
    EXPECT_EQ(parse_integer<unsigned>("-1").error(), Errc::malformed_number);
    EXPECT_EQ(parse_integer<unsigned>("-0").error(), Errc::malformed_number);
}

}  // namespace
}  // namespace coir
