#include "coir/http/body_writer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>

#include "coir/base/error.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::HttpReply;
using coir::test::TcpClient;
using test::chunked;
using test::get;
using test::kGet;
using test::kNever;
using test::pattern;
using test::Served;

TEST(BodyWriter, StreamsInChunks) {
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        response.status(Status::accepted).content_type(media::text_plain);
        for (const char* piece : {"one ", "", "two ", "three"}) {
            ASSERT_TRUE(response.write(piece, kNever).has_value());
        }
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(std::string(kGet) + "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(kGet));
    HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 202);
    EXPECT_EQ(reply.field("Transfer-Encoding"), "chunked");
    EXPECT_EQ(reply.body, "one two three");
    reply = client.receive_to_head();
    EXPECT_EQ(reply.field("Transfer-Encoding"), "chunked");
    EXPECT_EQ(client.receive().body, "one two three");
}

TEST(BodyWriter, StreamsAPromisedLength) {
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        response.content_length(6);
        ASSERT_TRUE(response.write("abc", kNever).has_value());
        EXPECT_EQ(response.write("defg", kNever).error(),
                  make_error_code(Errc::body_length_mismatch));
        ASSERT_TRUE(response.write("def", kNever).has_value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(std::string(kGet) + std::string(kGet));
    EXPECT_EQ(client.receive().field("Content-Length"), "6");
    EXPECT_EQ(client.receive().body, "abcdef");
}

TEST(BodyWriter, StreamsToHttp10UntilTheConnectionCloses) {
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        ASSERT_TRUE(response.write("abc", kNever).has_value());
        ASSERT_TRUE(response.write("def", kNever).has_value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const std::string reply = client.receive_rest();
    EXPECT_NE(reply.find("\r\nConnection: close\r\n"), std::string::npos);
    EXPECT_EQ(reply.find("Transfer-Encoding"), std::string::npos);
    EXPECT_TRUE(reply.ends_with("\r\n\r\nabcdef"));
}

// The body of a 205 was sent (RFC 9110, 15.3.6).
TEST(BodyWriter, LeavesOutWhatAResponseCannotHave) {
    Router routes;
    for (const unsigned code : {204U, 205U, 304U}) {
        routes.get("/" + std::to_string(code), [code](Request&, Response& response) {
            response.status(static_cast<Status>(code));
            ASSERT_TRUE(response.write("abc", kNever).has_value());
            ASSERT_TRUE(response.write(pattern(20'000), kNever).has_value());
        });
    }
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(get("/204") + get("/205") + get("/304") + get("/205"));
    for (const int code : {204, 205, 304, 205}) {
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.status, code);
        EXPECT_EQ(reply.body, "");
        EXPECT_EQ(reply.field("Transfer-Encoding"), std::nullopt);
        EXPECT_EQ(reply.field("Content-Length"),
                  code == 205 ? std::optional<std::string>("0") : std::nullopt);
    }
}

TEST(BodyWriter, SendsLargePiecesBetweenSmallOnes) {
    const std::string large = pattern(1'000'000);
    Router routes;
    routes.get("/", [&large](Request&, Response& response) {
        for (int i = 0; i < 5; ++i) {
            ASSERT_TRUE(response.write("<", kNever).has_value());
            ASSERT_TRUE(response.write(large, kNever).has_value());
        }
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(kGet);
    std::string expected;
    for (int i = 0; i < 5; ++i) {
        expected += "<" + large;
    }
    EXPECT_EQ(client.receive().body, expected);
}

TEST(BodyWriter, ABrokenPromiseIsA500OrTheEndOfTheConnection) {
    std::atomic<int> reports = 0;
    ServerOptions options;
    options.on_error = [&reports](const ServerError& error) {
        EXPECT_EQ(error.where, ServerError::Where::handler);
        EXPECT_EQ(error.error, make_error_code(Errc::body_length_mismatch));
        ++reports;
    };
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        response.content_length(6);
        ASSERT_TRUE(response.write("abc", kNever).has_value());
        ASSERT_TRUE(response.body_writer().flush(kNever).has_value());
    });
    routes.get("/1", [](Request&, Response& response) { response.content_length(6).body("abc"); });
    routes.get("/2", [](Request&, Response& response) {
        response.content_length(6);
        ASSERT_TRUE(response.write("abc", kNever).has_value());
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(kGet);
    EXPECT_ANY_THROW((void)client.receive());
    for (const char* path : {"/1", "/2"}) {
        TcpClient other(served.port());
        other.send(get(path));
        const HttpReply reply = other.receive();
        EXPECT_EQ(reply.status, 500) << path;
        EXPECT_TRUE(reply.says_close()) << path;
        other.expect_end();
    }
    EXPECT_EQ(served.stats().handler_failures, 3U);
    EXPECT_EQ(reports, 3);
}

// A failure of one request used to reset the connection, and took the replies to the requests before
// it along.
TEST(BodyWriter, AFailureLeavesEarlierRepliesAlone) {
    Router routes = test::sample_router();
    routes.get("/throw", [](Request&, Response& response) {
        ASSERT_TRUE(response.write("abc", kNever).has_value());
        throw std::runtime_error("no more");
    });
    routes.get("/short", [](Request&, Response& response) {
        response.content_length(6);
        ASSERT_TRUE(response.write("abc", kNever).has_value());
    });
    Served served(std::move(routes));
    for (const char* path : {"/throw", "/short"}) {
        TcpClient client(served.port());
        client.send(get("/1") + get("/2") + get(path) + get("/3"));
        EXPECT_EQ(client.receive().body, "/1");
        EXPECT_EQ(client.receive().body, "/2");
        EXPECT_EQ(client.receive().status, 500);
        client.expect_end();
    }
    EXPECT_EQ(served.stats().handler_failures, 2U);
}

TEST(BodyWriter, AFailureInTheMiddleLeavesEarlierRepliesAlone) {
    static const std::string large = pattern(4'000'000);
    Router routes;
    routes.get("/large", [](Request&, Response& response) { response.body_static(large); });
    routes.get("/throw", [](Request&, Response& response) {
        ASSERT_TRUE(response.write("abc", kNever).has_value());
        ASSERT_TRUE(response.body_writer().flush(kNever).has_value());
        ASSERT_TRUE(response.write("def", kNever).has_value());
        throw std::runtime_error("no more");
    });
    Served served(std::move(routes));
    TcpClient client(served.port(), 16 * 1024);
    client.send(get("/large") + get("/throw") + get("/large"));
    EXPECT_EQ(client.receive().body, large);
    const std::string rest = client.receive_rest();
    EXPECT_TRUE(rest.ends_with("\r\n\r\n3\r\nabc\r\n")) << rest;
}

// A handler's own deadline passed for a client that is too slow, and reset the connection.
TEST(BodyWriter, AHandlerThatGivesUpEndsTheBodyInTheMiddle) {
    std::atomic<bool> has_given_up = false;
    ServerOptions options;
    options.on_error = [](const ServerError& error) {
        EXPECT_EQ(error.where, ServerError::Where::handler);
        EXPECT_EQ(error.error, std::errc::timed_out);
    };
    const std::string large = pattern(50'000'000);
    Router routes = test::sample_router();
    routes.get("/large", [&](Request&, Response& response) {
        const auto soon = Deadline::after(std::chrono::milliseconds(20));
        EXPECT_EQ(response.write(large, soon).error(), std::errc::timed_out);
        EXPECT_EQ(response.write("more", kNever).error(), std::errc::timed_out);
        has_given_up = true;
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(get("/1") + get("/large") + get("/2"));
    EXPECT_TRUE(coir::test::holds_before(coir::test::soon(), [&] { return has_given_up.load(); }));
    EXPECT_EQ(client.receive().body, "/1");
    const std::string rest = client.receive_rest();
    EXPECT_LT(rest.size(), large.size());
    EXPECT_EQ(rest.find("/2"), std::string::npos);
    EXPECT_EQ(served.stats().handler_failures, 1U);
    EXPECT_EQ(served.stats().timeouts, 0U);
}

TEST(BodyWriter, AFlushThatIsNotWaitedForLosesNothing) {
    std::atomic<bool> has_given_up = false;
    ServerOptions options;
    options.max_output_bytes = 100'000'000;
    const std::string piece = pattern(10'000);
    constexpr int kPieces = 3000;
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        for (int i = 0; i < kPieces; ++i) {
            EXPECT_TRUE(response.write(piece, kNever).has_value());
        }
        const auto soon = Deadline::after(std::chrono::milliseconds(20));
        EXPECT_EQ(response.body_writer().flush(soon).error(), std::errc::timed_out);
        has_given_up = true;
        EXPECT_TRUE(response.write("end", kNever).has_value());
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send("GET / HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(coir::test::holds_before(coir::test::soon(), [&] { return has_given_up.load(); }));
    const std::string reply = client.receive_rest();
    EXPECT_GT(reply.size(), kPieces * piece.size());
    EXPECT_TRUE(reply.ends_with(piece + "end"));
}

}  // namespace
}  // namespace coir::http
