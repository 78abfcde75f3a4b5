#include <gtest/gtest.h>

#include "coir/base/error.hpp"
#include "coir/http/headers.hpp"
#include "coir/http/media_type.hpp"
#include "coir/http/method.hpp"
#include "coir/http/status.hpp"
#include "http/error_status.hpp"
#include "http/syntax.hpp"

#include <string>
#include <vector>

namespace coir::http {
namespace {

TEST(Method, EveryNameIsParsedBack) {
    for (std::size_t i = 0; i < kMethodCount; ++i) {
        const auto method = static_cast<Method>(i);
        EXPECT_EQ(parse_method(as_text(method)), method);
    }
    EXPECT_EQ(as_text(Method::del), "DELETE");
}

TEST(Method, NamesAreCaseSensitiveAndWhole) {
    EXPECT_EQ(parse_method("get"), std::nullopt);
    EXPECT_EQ(parse_method("GETS"), std::nullopt);
    EXPECT_EQ(parse_method(""), std::nullopt);
    EXPECT_EQ(parse_method("CONNECT"), std::nullopt);
}

TEST(MethodSet, HoldsWhatWasInserted) {
    MethodSet set;
    EXPECT_TRUE(set.empty());
    set.insert(Method::put);
    MethodSet other;
    other.insert(Method::get);
    set.insert(other);
    EXPECT_TRUE(set.contains(Method::put));
    EXPECT_TRUE(set.contains(Method::get));
    EXPECT_FALSE(set.contains(Method::post));
}

TEST(Status, HasAReasonWhereItHasAName) {
    EXPECT_EQ(reason_phrase(Status::ok), "OK");
    EXPECT_EQ(reason_phrase(Status{431}), "Request Header Fields Too Large");
    EXPECT_EQ(reason_phrase(Status{299}), "");
}

TEST(Status, SomeForbidABody) {
    EXPECT_TRUE(forbids_body(Status::continue_));
    EXPECT_TRUE(forbids_body(Status::no_content));
    EXPECT_TRUE(forbids_body(Status::not_modified));
    EXPECT_FALSE(forbids_body(Status::ok));
    EXPECT_FALSE(forbids_body(Status::reset_content));
    EXPECT_TRUE(forbids_content(Status::reset_content));
    EXPECT_TRUE(forbids_content(Status::no_content));
    EXPECT_FALSE(forbids_content(Status::ok));
}

TEST(ErrorStatus, NamesTheReplyToEachRefusal) {
    EXPECT_EQ(status_for(make_error_code(Errc::malformed_request)), Status{400});
    EXPECT_EQ(status_for(make_error_code(Errc::malformed_chunk)), Status{400});
    EXPECT_EQ(status_for(make_error_code(Errc::unexpected_eof)), Status{400});
    EXPECT_EQ(status_for(std::make_error_code(std::errc::timed_out)), Status{408});
    EXPECT_EQ(status_for(make_error_code(Errc::body_too_large)), Status{413});
    EXPECT_EQ(status_for(make_error_code(Errc::target_too_long)), Status{414});
    EXPECT_EQ(status_for(make_error_code(Errc::expectation_failed)), Status{417});
    EXPECT_EQ(status_for(make_error_code(Errc::misdirected_request)), Status{421});
    EXPECT_EQ(status_for(make_error_code(Errc::header_too_large)), Status{431});
    EXPECT_EQ(status_for(make_error_code(Errc::unsupported_method)), Status{501});
    EXPECT_EQ(status_for(make_error_code(Errc::unsupported_coding)), Status{501});
    EXPECT_EQ(status_for(make_error_code(Errc::unsupported_version)), Status{505});
    EXPECT_EQ(status_for(std::make_error_code(std::errc::connection_reset)), Status{500});
}

TEST(MediaType, IsCheckedByTheCompiler) {
    static_assert(media::json.as_text() == "application/json");
    static_assert(MediaType("image/png").as_text() == "image/png");
}

TEST(Syntax, ATokenIsNotEmptyAndHasNoSeparators) {
    EXPECT_TRUE(syntax::is_token("X-Name_1!"));
    EXPECT_FALSE(syntax::is_token(""));
    for (const char c : std::string("()<>@,;:\\\"/[]?={} \t\x7f\x80")) {
        EXPECT_FALSE(syntax::is_token(std::string("X") + c)) << c;
    }
}

TEST(Syntax, AFieldValueHasNoControlsButTheTab) {
    EXPECT_TRUE(syntax::is_field_value(""));
    EXPECT_TRUE(syntax::is_field_value("a\tb \xff"));
    EXPECT_FALSE(syntax::is_field_value("a\r\nb"));
    EXPECT_FALSE(syntax::is_field_value(std::string_view("a\0b", 3)));
    EXPECT_FALSE(syntax::is_field_value("a\x7f"));
}

TEST(Syntax, AnAuthorityIsAHostAndAPort) {
    EXPECT_FALSE(syntax::is_authority(""));
    EXPECT_TRUE(syntax::is_authority("example.org:80"));
    EXPECT_TRUE(syntax::is_authority("[2001:db8::1]:443"));
    EXPECT_FALSE(syntax::is_authority("user@host"));
    EXPECT_FALSE(syntax::is_authority("a/b"));
    EXPECT_FALSE(syntax::is_authority("a b"));
    EXPECT_FALSE(syntax::is_authority("a\\b"));
}

std::vector<std::string> elements(std::string_view list) {
    std::vector<std::string> found;
    for_each_element(list, [&found](std::string_view element) { found.emplace_back(element); });
    return found;
}

TEST(Headers, AListIsSplitAtCommasAndTrimmed) {
    EXPECT_EQ(elements("close"), std::vector<std::string>({"close"}));
    EXPECT_EQ(elements(" a ,\tb,, c d ,"), std::vector<std::string>({"a", "b", "c d"}));
    EXPECT_TRUE(elements(" , ,").empty());
    EXPECT_TRUE(elements("").empty());
}

constexpr std::string_view kMessage = "A: 1\r\nB: 2\r\na: 3\r\n";
constexpr HeaderSpan kSpans[] = {{0, 1, 3, 1}, {6, 1, 9, 1}, {12, 1, 15, 1}};

TEST(Headers, AreFoundWithoutRegardToCase) {
    const Headers headers(kMessage.data(), kSpans, 3);
    EXPECT_EQ(headers.find("a"), "1");
    EXPECT_EQ(headers.find("b"), "2");
    EXPECT_EQ(headers.find("c"), std::nullopt);
    EXPECT_EQ(headers.count("A"), 2U);
    std::string all;
    headers.for_each_value("A", [&all](std::string_view value) { all += value; });
    EXPECT_EQ(all, "13");
}

TEST(Headers, AreVisitedInOrder) {
    std::string all;
    for (const auto& [name, value] : Headers(kMessage.data(), kSpans, 3)) {
        all.append(name).append(value);
    }
    EXPECT_EQ(all, "A1B2a3");
    EXPECT_TRUE(Headers().empty());
}

TEST(Headers, OnlyAsciiHasCase) {
    EXPECT_TRUE(equals_ignoring_case("Content-TYPE", "content-type"));
    EXPECT_FALSE(equals_ignoring_case("[", "{"));
    EXPECT_FALSE(equals_ignoring_case("\xc4", "\xe4"));
    EXPECT_FALSE(equals_ignoring_case("a", "ab"));
}

}  // namespace
}  // namespace coir::http
