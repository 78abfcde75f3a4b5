#include "coir/base/error.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace coir {
namespace {

TEST(Errc, EachHasAMessageOfItsOwn) {
    std::set<std::string> messages;
    const int last = static_cast<int>(Errc::runtime_stopped);
    for (int code = 1; code <= last; ++code) {
        const std::error_code error = static_cast<Errc>(code);
        EXPECT_TRUE(error);
        EXPECT_EQ(error.value(), code);
        EXPECT_NE(error.message(), "unknown coir error") << code;
        messages.insert(error.message());
    }
    EXPECT_EQ(messages.size(), static_cast<std::size_t>(last));
    EXPECT_EQ(std::error_code(last + 1, coir_category()).message(), "unknown coir error");
}

TEST(Errc, BelongsToACategoryOfItsOwn) {
    EXPECT_STREQ(coir_category().name(), "coir");
    EXPECT_EQ(&coir_category(), &coir_category());
    EXPECT_NE(make_error_code(Errc::unexpected_eof), std::errc::operation_not_permitted);
    EXPECT_NE(make_error_code(Errc::unexpected_eof), std::error_code(1, std::system_category()));
}

}  // namespace
}  // namespace coir
