#include "text.hpp"

#include <gtest/gtest.h>

namespace coir::server {
namespace {

TEST(ToPrintable, KeepsPrintableAscii) {
    EXPECT_EQ(to_printable("a=12 ~!'\""), "a=12 ~!'\"");
}

TEST(ToPrintable, EscapesTheRestAndItsOwnEscape) {
    EXPECT_EQ(to_printable("\r\n\x7f\xff\\"), "\\x0d\\x0a\\x7f\\xff\\x5c");
    EXPECT_EQ(to_printable(std::string_view("\0", 1)), "\\x00");
}

TEST(ToPrintable, CutsLongText) {
    EXPECT_EQ(to_printable("abcdef", 6), "abcdef");
    EXPECT_EQ(to_printable("abcdefg", 6), "abcdef...");
}

}  // namespace
}  // namespace coir::server
