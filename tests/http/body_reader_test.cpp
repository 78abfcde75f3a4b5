#include "coir/http/body_reader.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::HttpReply;
using coir::test::soon;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using test::chunked;
using test::get;
using test::kNever;
using test::pattern;
using test::post;
using test::sample_router;
using test::Served;

TEST(BodyReader, ReadsBodiesWholeOrByPieces) {
    Served served(sample_router());
    TcpClient client(served.port());
    for (const char* path : {"/whole", "/pieces"}) {
        for (const std::size_t size : {0U, 1U, 2U, 999U, 1000U, 8000U, 8192U, 20'000U, 900'000U}) {
            const std::string body = pattern(size);
            client.send(post(path, body) + get("/1"));
            ASSERT_EQ(client.receive().body, body) << path << ' ' << size;
            ASSERT_EQ(client.receive().body, "/1") << path << ' ' << size;
        }
    }
}

TEST(BodyReader, ReadsChunkedBodiesWholeOrByPieces) {
    Served served(sample_router());
    TcpClient client(served.port());
    for (const char* path : {"/whole", "/pieces"}) {
        for (const std::size_t chunk : {1U, 7U, 1000U, 4096U, 50'000U}) {
            const std::string body = pattern(60'000);
            std::string chunks;
            for (std::size_t at = 0; at < body.size(); at += chunk) {
                const std::string piece = body.substr(at, chunk);
                char size[16];
                std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
                chunks += size + piece + "\r\n";
            }
            client.send(chunked(path, chunks + "0\r\nX-Trailer: y\r\n\r\n") + get("/1"));
            ASSERT_EQ(client.receive().body, body) << path << ' ' << chunk;
            ASSERT_EQ(client.receive().body, "/1") << path << ' ' << chunk;
        }
    }
}

TEST(BodyReader, ABodyCanBeCutAnywhere) {
    Served served(sample_router());
    TcpClient client(served.port());
    const std::array requests = {post("/whole", "20") + get("/1"),
                                 chunked("/whole", "1\r\n2\r\n1\r\n0\r\n0\r\n\r\n") + get("/1"),
                                 chunked("/pieces", "1\r\n2\r\n1\r\n0\r\n0\r\n\r\n") + get("/1")};
    for (const std::string& request : requests) {
        for (std::size_t cut = 1; cut < request.size(); ++cut) {
            client.send_cut(request, std::array{cut});
            ASSERT_EQ(client.receive().body, "20") << "cut at " << cut;
            ASSERT_EQ(client.receive().body, "/1") << "cut at " << cut;
        }
    }
}

TEST(BodyReader, AnEarlierReplyIsSentBeforeTheBodyIsWaitedFor) {
    Served served(sample_router());
    TcpClient client(served.port());
    const std::string request = post("/whole", "20");
    client.send(get("/1") + request.substr(0, request.size() - 2));
    EXPECT_EQ(client.receive().body, "/1");
    client.send("20");
    EXPECT_EQ(client.receive().body, "20");
}

TEST(BodyReader, ReadsAPartOfTheBodyAndThenTheRest) {
    Router routes;
    routes.post("/", [](Request& request, Response& response) {
        std::array<std::byte, 3> first;
        const auto size = request.body().read_some(first, kNever).value();
        const std::string rest(request.body().read_all(kNever).value());
        EXPECT_TRUE(request.body().at_end());
        EXPECT_EQ(request.body().read_all(kNever).value(), "");
        EXPECT_EQ(request.body().read_some(first, kNever).value(), 0U);
        response.body(std::string(reinterpret_cast<const char*>(first.data()), size) + "|" + rest);
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(post("/", "abcdef"));
    EXPECT_EQ(client.receive().body, "abc|def");
    client.send(chunked("/", "6\r\nabcdef\r\n2\r\ngh\r\n0\r\n\r\n"));
    const std::string body = client.receive().body;
    EXPECT_EQ(body.size(), 9U);
    EXPECT_EQ(body.find('|') <= 3, true);
}

TEST(BodyReader, AnUnreadBodyIsDrainedIfItIsShort) {
    Served served(sample_router());
    TcpClient client(served.port());
    client.send(post("/unread", std::string(100'000, 'x')) +
                chunked("/unread", "5\r\nabcde\r\n0\r\n\r\n") + get("/1"));
    EXPECT_EQ(client.receive().body, "/unread");
    EXPECT_EQ(client.receive().body, "/unread");
    EXPECT_EQ(client.receive().body, "/1");
}

TEST(BodyReader, AnUnreadBodyThatIsLongClosesTheConnection) {
    Served served(sample_router());
    TcpClient client(served.port());
    const std::string request = post("/unread", std::string(300'000, 'x'));
    client.send(request.substr(0, 1000));
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.body, "/unread");
    EXPECT_TRUE(reply.says_close());
    client.finish_sending();
    client.expect_end();
}

TEST(BodyReader, AnUnreadChunkedBodyThatIsLongClosesTheConnection) {
    ServerOptions options;
    options.max_drained_bytes = 10'000;
    Served served(sample_router(), options);
    TcpClient client(served.port());
    client.send(chunked("/unread", "1\r\na\r\n"));
    EXPECT_EQ(client.receive().body, "/unread");
    (void)client.try_send("4000\r\n" + std::string(0x4000, 'x') + "\r\n");
    client.finish_sending();
    client.expect_end();
}

TEST(BodyReader, TheClientHearsContinueWhenTheBodyIsWanted) {
    Served served(sample_router());
    TcpClient client(served.port());
    const std::string head =
        " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.send("POST /whole" + head);
    EXPECT_EQ(client.receive().status, 100);
    client.send("20" + get("/1"));
    EXPECT_EQ(client.receive().body, "20");
    EXPECT_EQ(client.receive().body, "/1");
    // A client that does not wait needs not be told.
    client.send("POST /whole" + head + "20");
    EXPECT_EQ(client.receive().status, 200);
    // Nobody wants this body. Whether it comes or not cannot be known, so the connection ends.
    client.send("POST /unread" + head);
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.says_close());
}

TEST(BodyReader, TellsAHandlerWhatWentWrong) {
    Router routes;
    routes.post("/", [](Request& request, Response& response) {
        const auto error = request.body().read_all(kNever).error();
        EXPECT_EQ(request.body().error(), error);
        response.status(Status{299}).body(error.message());
    });
    Served served(std::move(routes));
    const auto ask = [&served](std::string_view bytes) {
        TcpClient client(served.port());
        client.send(bytes);
        client.finish_sending();
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.status, 299);
        EXPECT_TRUE(reply.says_close());
        return reply.body;
    };
    EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"),
              make_error_code(Errc::unexpected_eof).message());
    EXPECT_EQ(ask(chunked("/", "1;\r\n")), make_error_code(Errc::malformed_chunk).message());
}

TEST(BodyReader, AHandlerMayHaveLessPatienceThanTheServer) {
    std::atomic<bool> is_waiting = false;
    Router routes;
    routes.post("/", [&is_waiting](Request& request, Response& response) {
        std::array<std::byte, 10> piece;
        const auto early = request.body().read_some(piece, Deadline::after(milliseconds(1)));
        EXPECT_EQ(early.error(), std::errc::timed_out);
        EXPECT_FALSE(request.body().error());
        ASSERT_TRUE(response.write("late: ", kNever).has_value());
        ASSERT_TRUE(response.body_writer().flush(kNever).has_value());
        is_waiting = true;
        const auto size = request.body().read_some(piece, kNever).value();
        ASSERT_TRUE(response.write(std::span(piece).first(size), kNever).has_value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    const std::string request = post("/", "20");
    client.send(request.substr(0, request.size() - 2));
    EXPECT_TRUE(holds_before(soon(), [&] { return is_waiting.load(); }));
    client.send("20");
    EXPECT_EQ(client.receive().body, "late: 20");
}

TEST(BodyReader, ARouteMayHaveItsOwnLimit) {
    ServerOptions options;
    options.max_body_bytes = 1000;
    Router routes;
    const auto count = [](Request& request, Response& response) {
        std::array<std::byte, 4096> piece;
        std::size_t total = 0;
        while (!request.body().at_end()) {
            const auto size = request.body().read_some(piece, kNever);
            if (!size) {
                return;
            }
            total += *size;
        }
        response.body(std::to_string(total));
    };
    routes.post("/usual", count);
    routes.post("/more", count, {.max_body_bytes = 100'000});
    routes.post("/less", count, {.max_body_bytes = 10});
    Served served(std::move(routes), options);
    const auto ask = [&served](const char* path, std::size_t size) {
        const std::string body = pattern(size);
        char line[16];
        std::snprintf(line, sizeof line, "%zx\r\n", size);
        std::string replies;
        for (const std::string& request :
             {post(path, body), chunked(path, line + body + "\r\n0\r\n\r\n")}) {
            TcpClient client(served.port());
            (void)client.try_send(request);
            const HttpReply reply = client.receive();
            replies += reply.status == 200 ? reply.body : std::to_string(reply.status);
            replies += ' ';
        }
        return replies;
    };
    EXPECT_EQ(ask("/usual", 1000), "1000 1000 ");
    EXPECT_EQ(ask("/usual", 1001), "413 413 ");
    EXPECT_EQ(ask("/more", 100'000), "100000 100000 ");
    EXPECT_EQ(ask("/more", 100'001), "413 413 ");
    EXPECT_EQ(ask("/less", 10), "10 10 ");
    EXPECT_EQ(ask("/less", 11), "413 413 ");
    EXPECT_EQ(ask("/nowhere", 1001), "413 404 ");
}

TEST(BodyReader, KeepsNoMoreThanItsBoundInMemory) {
    ServerOptions options;
    options.max_body_bytes = 30'000;
    Router routes;
    routes.post("/default", test::echo_whole, {.max_body_bytes = 1'000'000});
    routes.post("/told",
                [](Request& request, Response& response) {
                    if (const auto body = request.body().read_all(50'000, kNever)) {
                        response.body(*body);
                    }
                },
                {.max_body_bytes = 1'000'000});
    Served served(std::move(routes), options);
    for (const auto& [path, bound] :
         {std::pair("/default", 30'000U), std::pair("/told", 50'000U)}) {
        for (const std::size_t over : {0U, 1U, 200'000U}) {
            const std::string body = pattern(bound + over);
            std::string chunks;
            for (std::size_t at = 0; at < body.size(); at += 1000) {
                const std::string piece = body.substr(at, 1000);
                char line[16];
                std::snprintf(line, sizeof line, "%zx\r\n", piece.size());
                chunks += line + piece + "\r\n";
            }
            for (const std::string& request :
                 {post(path, body), chunked(path, chunks + "0\r\n\r\n")}) {
                TcpClient client(served.port());
                (void)client.try_send(request);
                const HttpReply reply = client.receive();
                EXPECT_EQ(reply.status, over == 0 ? 200 : 413) << path << ' ' << over;
                EXPECT_EQ(reply.body == body, over == 0) << path << ' ' << over;
            }
        }
    }
}

// Each was taken for a client that is too slow: the body was lost, and the connection with it.
TEST(BodyReader, TheEndOfATaskIsNotTheClientsSlowness) {
    std::atomic<bool> is_waiting = false;
    Router routes;
    routes.post("/", [&is_waiting](Request& request, Response& response) {
        std::array<std::byte, 10> piece;
        {
            const this_fiber::DeadlineScope scope(Deadline::after(milliseconds(1)));
            EXPECT_EQ(request.body().read_some(piece, kNever).error(), std::errc::timed_out);
        }
        EXPECT_FALSE(request.body().error());
        std::error_code canceled;
        {
            const auto reader =
                spawn([&] { canceled = request.body().read_some(piece, kNever).error(); });
        }  // asks it to stop, and joins
        EXPECT_EQ(canceled, std::errc::operation_canceled);
        EXPECT_FALSE(request.body().error());
        is_waiting = true;
        response.body(request.body().read_all(kNever).value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    const std::string request = post("/", "20");
    client.send(request.substr(0, request.size() - 2));
    EXPECT_TRUE(holds_before(soon(), [&] { return is_waiting.load(); }));
    client.send("20" + get("/"));
    EXPECT_EQ(client.receive().body, "20");
    EXPECT_EQ(client.receive().status, 405);
    EXPECT_EQ(served.stats().timeouts, 0U);
}

}  // namespace
}  // namespace coir::http
