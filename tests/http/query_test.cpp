#include "coir/http/query.hpp"

#include <gtest/gtest.h>

#include <string>

#include "coir/base/error.hpp"

namespace coir::http {
namespace {

std::string pairs(std::string_view text) {
    std::string all;
    for (const auto& [name, value] : Query(text)) {
        all.append("[").append(name).append("|").append(value).append("]");
    }
    return all;
}

TEST(Query, IteratesOverPairsInOrder) {
    EXPECT_EQ(pairs("a=13&b=42"), "[a|13][b|42]");
    EXPECT_EQ(pairs("a=1"), "[a|1]");
    EXPECT_EQ(pairs(""), "");
}

TEST(Query, APairMayLackItsValueOrItsName) {
    EXPECT_EQ(pairs("a"), "[a|]");
    EXPECT_EQ(pairs("a="), "[a|]");
    EXPECT_EQ(pairs("=b"), "[|b]");
    EXPECT_EQ(pairs("="), "[|]");
    EXPECT_EQ(pairs("a&b"), "[a|][b|]");
}

TEST(Query, OnlyTheFirstEqualsSignSeparates) {
    EXPECT_EQ(pairs("a=b=c&d==e"), "[a|b=c][d|=e]");
}

TEST(Query, EmptyPairsAreLeftOut) {
    EXPECT_EQ(pairs("&&a=1&&b=2&&"), "[a|1][b|2]");
    EXPECT_EQ(pairs("&"), "");
}

TEST(Query, ANameThatAppearsTwiceIsFoundFirst) {
    const Query query("x=1&y=2&x=3");
    EXPECT_EQ(query.find("x"), "1");
    EXPECT_EQ(query.find("y"), "2");
    EXPECT_EQ(query.find("z"), std::nullopt);
}

TEST(Query, NothingIsDecodedUnasked) {
    EXPECT_EQ(pairs("a%20b=c%26d+e"), "[a%20b|c%26d+e]");
}

TEST(ToDecoded, ReplacesEscapesAndPlus) {
    EXPECT_EQ(to_decoded("a%20b%2Fc+d").value(), "a b/c d");
    EXPECT_EQ(to_decoded("a+b%2b", Plus::is_plus).value(), "a+b+");
    EXPECT_EQ(to_decoded("%c3%A9").value(), "\xc3\xa9");
    EXPECT_EQ(to_decoded("%00").value(), std::string(1, '\0'));
    EXPECT_EQ(to_decoded("").value(), "");
}

TEST(ToDecoded, RefusesAPercentSignWithoutTwoDigits) {
    for (const char* text : {"%", "%4", "a%", "%g0", "%0g", "%%41", "% 1"}) {
        EXPECT_EQ(to_decoded(text).error(), make_error_code(Errc::malformed_request)) << text;
    }
}

}  // namespace
}  // namespace coir::http
