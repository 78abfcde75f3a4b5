#include "coir/http/response.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "coir/base/error.hpp"

namespace coir::http {
namespace {

TEST(Response, IsAnEmpty200UnlessItSaysOtherwise) {
    const Response response;
    EXPECT_EQ(response.status(), Status::ok);
    EXPECT_EQ(response.body(), "");
    EXPECT_EQ(response.fields(), "");
    EXPECT_FALSE(response.is_touched());
}

TEST(Response, KeepsFieldsInOrder) {
    Response response;
    ASSERT_TRUE(response.header("X-A", "1").has_value());
    ASSERT_TRUE(response.header("X-B", "").has_value());
    ASSERT_TRUE(response.header("X-A", "2").has_value());
    EXPECT_EQ(response.fields(), "X-A: 1\r\nX-B: \r\nX-A: 2\r\n");
    EXPECT_TRUE(response.is_touched());
}

TEST(Response, RefusesFieldsThatWouldBreakTheMessage) {
    Response response;
    const auto refused = make_error_code(Errc::invalid_field);
    EXPECT_EQ(response.header("X", "a\r\nSet-Cookie: b").error(), refused);
    EXPECT_EQ(response.header("X", "a\nb").error(), refused);
    EXPECT_EQ(response.header("X", std::string_view("a\0b", 3)).error(), refused);
    EXPECT_EQ(response.header("", "a").error(), refused);
    EXPECT_EQ(response.header("X Y", "a").error(), refused);
    EXPECT_EQ(response.header("X:", "a").error(), refused);
    EXPECT_EQ(response.header("X\r\nY", "a").error(), refused);
    EXPECT_EQ(response.content_type("a\r\nb").error(), refused);
    EXPECT_EQ(response.fields(), "");
}

TEST(Response, LeavesFramingToTheEngine) {
    Response response;
    for (const char* name :
         {"Date", "connection", "keep-alive", "Content-Length", "TRANSFER-ENCODING", "server"}) {
        EXPECT_EQ(response.header(name, "1").error(), make_error_code(Errc::invalid_field)) << name;
    }
}

TEST(Response, HasOneContentType) {
    Response response;
    response.content_type(media::json);
    EXPECT_EQ(response.content_type(), "application/json");
    ASSERT_TRUE(response.header("content-type", std::string("text/css")).has_value());
    EXPECT_EQ(response.content_type(), "text/css");
    EXPECT_EQ(response.fields(), "");
}

TEST(Response, TakesABodyByCopyByMoveOrNotAtAll) {
    Response response;
    {
        std::string text = "copied";
        response.body(text);
        text = "changed";
    }
    EXPECT_EQ(response.body(), "copied");
    std::string moved(1000, 'm');
    const char* const data = moved.data();
    response.body(std::move(moved));
    EXPECT_EQ(response.body().data(), data);
    static constexpr std::string_view kText = "static";
    response.body_static(kText);
    EXPECT_EQ(response.body().data(), kText.data());
    response.body("literal");
    EXPECT_EQ(response.body(), "literal");
}

// Few bytes are kept in another place than many, and the text may be a part of the body before.
TEST(Response, CopiesABodyOfAnyLength) {
    std::string text;
    for (char c = 'A'; text.size() < 40; text.push_back(c++)) {
        Response response;
        response.body(std::string_view(std::string(text)));
        EXPECT_EQ(response.body(), text);
        for (std::size_t i = 1; i <= text.size(); ++i) {
            response.body(response.body().substr(1));
            EXPECT_EQ(response.body(), std::string_view(text).substr(i));
        }
    }
}

TEST(Response, ACodeThatIsNoFinalAnswerBecomes500) {
    Response response;
    EXPECT_EQ(response.status(Status::continue_).status(), Status{500});
    // Codes outside 100 to 599 are invalid (RFC 9110, 15).
    EXPECT_EQ(response.status(Status{600}).status(), Status{500});
    EXPECT_EQ(response.status(Status{599}).status(), Status{599});
}

// Responses live on with their exchanges, so what one handler needed would be kept for ever.
TEST(Response, ResetGivesMuchMemoryBack) {
    const std::string much(100'000, 'x');
    Response response;
    // A short string that has no memory of its own lies in the response itself.
    const auto lies_within = [&response](std::string_view text) {
        const auto* const begin = reinterpret_cast<const char*>(&response);
        return text.data() >= begin && text.data() < begin + sizeof response;
    };
    ASSERT_TRUE(response.header("X", much).has_value());
    response.reset();
    ASSERT_TRUE(response.header("X", "y").has_value());
    EXPECT_TRUE(lies_within(response.fields()));
    ASSERT_TRUE(response.content_type(much).has_value());
    response.reset();
    ASSERT_TRUE(response.content_type("a/b").has_value());
    EXPECT_TRUE(lies_within(response.content_type()));
    response.body(much);
    response.reset();
    response.body(std::string("y"));  // a copy would do without the string
    EXPECT_TRUE(lies_within(response.body()));
}

TEST(Response, ResetMakesItNew) {
    Response response;
    response.status(Status::not_found).content_type(media::json).content_length(3);
    response.body("x").close_connection();
    ASSERT_TRUE(response.header("X", "y").has_value());
    response.reset();
    EXPECT_EQ(response.status(), Status::ok);
    EXPECT_EQ(response.body(), "");
    EXPECT_EQ(response.content_type(), "");
    EXPECT_EQ(response.fields(), "");
    EXPECT_EQ(response.promised_length(), std::nullopt);
    EXPECT_FALSE(response.closes_connection());
    EXPECT_FALSE(response.is_touched());
}

}  // namespace
}  // namespace coir::http
