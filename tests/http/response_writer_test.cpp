#include "http/response_writer.hpp"

#include <gtest/gtest.h>

#include <string>

#include "http/date_cache.hpp"

namespace coir::http {
namespace {

using response_writer::Context;
using response_writer::Framing;

constexpr std::string_view kDate = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

Context context() {
    Context context;
    context.date_line = kDate;
    return context;
}

std::string written(const Response& response, const Context& context) {
    Buffer out;
    EXPECT_FALSE(response_writer::append_response(out, response, context));
    return std::string(out.as_text());
}

TEST(ResponseWriter, WritesAWholeResponse) {
    Response response;
    response.content_type(media::text_plain).body_static("ok");
    EXPECT_EQ(written(response, context()),
              "HTTP/1.1 200 OK\r\n"
              "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
              "Content-Type: text/plain\r\n"
              "Content-Length: 2\r\n"
              "\r\n"
              "ok");
}

TEST(ResponseWriter, WritesTheLengthOfAnEmptyBody) {
    EXPECT_EQ(written(Response(), context()),
              "HTTP/1.1 200 OK\r\n" + std::string(kDate) + "Content-Length: 0\r\n\r\n");
}

TEST(ResponseWriter, WritesStatusFieldsAndTheServersOwn) {
    Response response;
    response.status(Status::not_found).body("no");
    ASSERT_TRUE(response.header("X", "y").has_value());
    Context ours = context();
    ours.fields = "Server: s\r\n";
    EXPECT_EQ(written(response, ours), "HTTP/1.1 404 Not Found\r\n" + std::string(kDate) +
                                           "Server: s\r\nX: y\r\nContent-Length: 2\r\n\r\nno");
}

TEST(ResponseWriter, WritesACodeWithoutAName) {
    Response response;
    response.status(Status{299});
    EXPECT_TRUE(written(response, context()).starts_with("HTTP/1.1 299 \r\nDate: "));
}

TEST(ResponseWriter, SaysWhatBecomesOfTheConnection) {
    Response response;
    Context ours = context();
    EXPECT_EQ(written(response, ours).find("Connection"), std::string::npos);
    ours.version = Version::http_1_0;
    EXPECT_NE(written(response, ours).find("\r\nConnection: keep-alive\r\n"), std::string::npos);
    ours.keep_alive = false;
    EXPECT_NE(written(response, ours).find("\r\nConnection: close\r\n"), std::string::npos);
    response.close_connection();
    EXPECT_NE(written(response, context()).find("\r\nConnection: close\r\n"), std::string::npos);
}

TEST(ResponseWriter, AnswersHeadWithoutTheBody) {
    Response response;
    response.body("four");
    Context ours = context();
    ours.is_head = true;
    const std::string text = written(response, ours);
    EXPECT_TRUE(text.ends_with("Content-Length: 4\r\n\r\n"));
}

TEST(ResponseWriter, AnswersHeadWithAPromisedLength) {
    Response response;
    response.content_length(1'000'000'007);
    Context ours = context();
    ours.is_head = true;
    EXPECT_TRUE(written(response, ours).ends_with("Content-Length: 1000000007\r\n\r\n"));
}

// GET may have a body where HEAD has none to show, and a wrong length is worse than none.
TEST(ResponseWriter, AnswersHeadWithoutALengthThatNobodyHasSaid) {
    Context ours = context();
    ours.is_head = true;
    EXPECT_EQ(written(Response(), ours), "HTTP/1.1 200 OK\r\n" + std::string(kDate) + "\r\n");
}

TEST(ResponseWriter, SomeStatusesHaveNeitherBodyNorLength) {
    for (const Status status : {Status::no_content, Status::not_modified}) {
        Response response;
        response.status(status).body("ignored");
        const std::string text = written(response, context());
        EXPECT_EQ(text.find("Content-Length"), std::string::npos);
        EXPECT_TRUE(text.ends_with("GMT\r\n\r\n"));
    }
}

// Its body was sent (RFC 9110, 15.3.6).
TEST(ResponseWriter, ResetContentHasALengthOfZeroAndNoBody) {
    for (const bool is_head : {false, true}) {
        Response response;
        response.status(Status::reset_content).body("ignored");
        Context ours = context();
        ours.is_head = is_head;
        const std::string text = written(response, ours);
        EXPECT_TRUE(text.ends_with("Content-Length: 0\r\n\r\n")) << text;
    }
}

TEST(ResponseWriter, LeavesLargeBodiesOut) {
    for (const std::size_t over : {0U, 1U}) {
        Response response;
        response.body(std::string(response_writer::kLargeBody + over, 'x'));
        Buffer out;
        EXPECT_EQ(response_writer::append_response(out, response, context()), over == 1);
        EXPECT_EQ(out.size() > response_writer::kLargeBody, over == 0);
        EXPECT_NE(out.as_text().find("Content-Length: 1638"), std::string::npos);
    }
}

TEST(ResponseWriter, AppendsBehindWhatIsThere) {
    Buffer out(16);
    out.append("before");
    Response response;
    EXPECT_FALSE(response_writer::append_response(out, response, context()));
    EXPECT_TRUE(out.as_text().starts_with("beforeHTTP/1.1 200 OK\r\n"));
}

TEST(ResponseWriter, HasRoomForTheLongestHead) {
    Response response;
    response.status(Status::request_header_fields_too_large);
    Context ours = context();
    ours.keep_alive = false;
    Buffer out(1);
    response_writer::append_head(out, response, ours, Framing::length, UINT64_MAX);
    EXPECT_TRUE(out.as_text().ends_with("Content-Length: 18446744073709551615\r\n\r\n"));
}

TEST(ResponseWriter, ChoosesTheFramingOfAStream) {
    Response response;
    Context ours = context();
    EXPECT_EQ(response_writer::streamed_framing(response, false, ours), Framing::chunked);
    ours.version = Version::http_1_0;
    EXPECT_EQ(response_writer::streamed_framing(response, false, ours), Framing::until_close);
    EXPECT_EQ(response_writer::streamed_framing(response, true, ours), Framing::length);
    response.status(Status::no_content);
    EXPECT_EQ(response_writer::streamed_framing(response, true, ours), Framing::none);
    Response reset;
    reset.status(Status::reset_content);
    EXPECT_EQ(response_writer::streamed_framing(reset, false, ours), Framing::length);
}

TEST(ResponseWriter, WritesHeadsOfStreams) {
    const auto head = [](Framing framing) {
        Buffer out;
        response_writer::append_head(out, Response(), context(), framing, 7);
        return std::string(out.as_text().substr(17 + kDate.size()));
    };
    EXPECT_EQ(head(Framing::chunked), "Transfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(head(Framing::length), "Content-Length: 7\r\n\r\n");
    EXPECT_EQ(head(Framing::until_close), "Connection: close\r\n\r\n");
    EXPECT_EQ(head(Framing::none), "\r\n");
}

TEST(ResponseWriter, WritesChunks) {
    Buffer out;
    response_writer::append_chunk_size(out, 1);
    response_writer::append_chunk_size(out, 0x1f00);
    response_writer::append_chunk_size(out, SIZE_MAX);
    response_writer::append_last_chunk(out);
    EXPECT_EQ(out.as_text(), "1\r\n1f00\r\nffffffffffffffff\r\n0\r\n\r\n");
}

TEST(ResponseWriter, WritesPlainRepliesOfItsOwn) {
    Buffer out;
    Context ours = context();
    ours.keep_alive = false;
    response_writer::append_plain(out, Status::method_not_allowed, ours, "Allow: GET\r\n");
    EXPECT_EQ(out.as_text(), "HTTP/1.1 405 Method Not Allowed\r\n" + std::string(kDate) +
                                 "Connection: close\r\nContent-Type: text/plain\r\nAllow: GET\r\n"
                                 "Content-Length: 19\r\n\r\nMethod Not Allowed\n");
}

TEST(ResponseWriter, SaysWhichVersionsItSpeaks) {
    Buffer out;
    response_writer::append_plain(out, Status::http_version_not_supported, context(), {});
    EXPECT_TRUE(out.as_text().starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"));
    EXPECT_TRUE(out.as_text().ends_with(
        "Content-Length: 46\r\n\r\nThis server speaks HTTP/1.0 and HTTP/1.1 only\n"))
        << out.as_text();
}

TEST(DateCache, FormatsAsRfc9110Says) {
    DateCache cache;
    EXPECT_EQ(cache.line_at(784111777), kDate);
    EXPECT_EQ(cache.line_at(0), "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    EXPECT_EQ(cache.line_at(951782399), "Date: Mon, 28 Feb 2000 23:59:59 GMT\r\n");
    EXPECT_EQ(cache.line_at(951782400), "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
    EXPECT_EQ(cache.line_at(4102444799), "Date: Thu, 31 Dec 2099 23:59:59 GMT\r\n");
    EXPECT_EQ(cache.line(), "Date: Thu, 31 Dec 2099 23:59:59 GMT\r\n");
}

}  // namespace
}  // namespace coir::http
