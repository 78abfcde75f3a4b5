#include "http/trailers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "coir/base/error.hpp"
#include "coir/http/body_reader.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::HttpReply;
using coir::test::TcpClient;
using test::kNever;
using test::Served;

std::string ask(std::string_view more, std::string_view method = "GET") {
    return std::string(method) + " / HTTP/1.1\r\nHost: a\r\n" + std::string(more) + "\r\n";
}

TEST(Trailers, AreWantedByClientsThatSaySo) {
    Router routes;
    routes.get("/", [](Request& request, Response& response) {
        response.body(request.wants_trailers() ? "yes" : "no");
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    const auto answer = [&client](std::string_view more) {
        client.send(ask(more));
        return client.receive().body;
    };
    EXPECT_EQ(answer("TE: trailers\r\nConnection: TE\r\n"), "yes");
    EXPECT_EQ(answer("te: deflate;q=0.5, Trailers\r\n"), "yes");
    EXPECT_EQ(answer("TE: gzip\r\nTE: ,trailers\r\n"), "yes");
    EXPECT_EQ(answer("TE: gzip\r\n"), "no");
    EXPECT_EQ(answer("TE: xtrailers, trailers2\r\n"), "no");
    EXPECT_EQ(answer("TE:\r\n"), "no");
    EXPECT_EQ(answer(""), "no");
    client.send("GET / HTTP/1.0\r\nTE: trailers\r\n\r\n");
    EXPECT_EQ(client.receive().body, "no");
}

TEST(Trailers, FollowAChunkedBodyForThoseWhoWantThem) {
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        ASSERT_TRUE(response.announce_trailer("X-Sum").has_value());
        ASSERT_TRUE(response.write("body", kNever).has_value());
        ASSERT_TRUE(response.trailer("X-Sum", "17").has_value());
        ASSERT_TRUE(response.trailer("X-Empty", "").has_value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(ask("TE: trailers\r\n") + ask("") + ask("TE: trailers\r\n", "HEAD") +
                ask("TE: trailers\r\n"));
    for (const char* const kind : {"wanted", "not wanted", "head", "wanted"}) {
        const bool is_head = std::string_view(kind) == "head";
        const HttpReply reply = is_head ? client.receive_to_head() : client.receive();
        const bool is_wanted = std::string_view(kind) == "wanted";
        EXPECT_EQ(reply.body, is_head ? "" : "body") << kind;
        EXPECT_EQ(reply.field("Trailer").value_or("none"), is_wanted || is_head ? "X-Sum" : "none")
            << kind;
        ASSERT_EQ(reply.trailers.size(), is_wanted ? 2U : 0U) << kind;
        if (is_wanted) {
            EXPECT_EQ(reply.trailers[0].name + ": " + reply.trailers[0].value, "X-Sum: 17");
            EXPECT_EQ(reply.trailers[1].name + ": " + reply.trailers[1].value, "X-Empty: ");
        }
    }
}

TEST(Trailers, AreLeftOutWhereTheBodyIsNotChunked) {
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        ASSERT_TRUE(response.trailer("X-Sum", "17").has_value());
        response.body("body");
    });
    routes.get("/length", [](Request&, Response& response) {
        response.content_length(4);
        ASSERT_TRUE(response.write("body", kNever).has_value());
        ASSERT_TRUE(response.trailer("X-Sum", "17").has_value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    for (const char* path : {"/", "/length", "/"}) {
        client.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
        EXPECT_EQ(client.receive().body, "body") << path;
        EXPECT_EQ(client.unread(), "") << path;
    }
}

/// "name=value " for each.
std::string listed(const Headers& fields) {
    std::string text;
    for (const Header field : fields) {
        text.append(field.name).append("=").append(field.value).append(" ");
    }
    return text;
}

TEST(Trailers, OfARequestAreThereOnceTheBodyHasBeenRead) {
    Router routes;
    routes.post("/whole", [](Request& request, Response& response) {
        EXPECT_TRUE(request.body().trailers().empty());
        const std::string body(request.body().read_all(kNever).value());
        response.body(body + "|" + listed(request.body().trailers()));
    });
    routes.post("/pieces", [](Request& request, Response& response) {
        std::array<std::byte, 3> piece;
        while (!request.body().at_end()) {
            EXPECT_TRUE(request.body().trailers().empty());
            ASSERT_TRUE(request.body().read_some(piece, kNever).has_value());
        }
        EXPECT_EQ(request.body().trailers().find("x-SUM"), "17");
        EXPECT_EQ(request.body().trailers().find("X"), std::nullopt);
        response.body(listed(request.body().trailers()));
    });
    routes.post("/unread", [](Request& request, Response& response) {
        response.body("none" + listed(request.body().trailers()));
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    const auto ask = [&client](const char* path, std::string_view trailers) {
        const std::string request =
            test::chunked(path, "4\r\nbody\r\n0\r\n" + std::string(trailers) + "\r\n");
        client.send_cut(request, std::array{request.size() - 4});
        return client.receive().body;
    };
    EXPECT_EQ(ask("/whole", "X-Sum: 17\r\nX-Other:  a b \r\n"), "body|X-Sum=17 X-Other=a b ");
    EXPECT_EQ(ask("/pieces", "X-Sum: 17\r\n"), "X-Sum=17 ");
    EXPECT_EQ(ask("/unread", "X-Sum: 17\r\n"), "none");
    // Those of the last request are gone.
    EXPECT_EQ(ask("/whole", ""), "body|");
    client.send(test::post("/whole", "plain"));
    EXPECT_EQ(client.receive().body, "plain|");
}

TEST(Trailers, RefuseWhatIsTooLateBehindTheBody) {
    Response response;
    const auto refused = make_error_code(Errc::invalid_field);
    for (const char* name : {"Content-Length", "transfer-encoding", "Host", "Set-Cookie", "Date",
                             "Content-Type", "Trailer", "Cache-Control", "X Y", ""}) {
        EXPECT_EQ(response.trailer(name, "1").error(), refused) << name;
        EXPECT_EQ(response.announce_trailer(name).error(), refused) << name;
    }
    EXPECT_EQ(response.trailer("X", "a\r\nY: b").error(), refused);
    EXPECT_EQ(response.trailers(), "");
    EXPECT_TRUE(response.trailer("X", "a").has_value());
    EXPECT_EQ(response.trailers(), "X: a\r\n");
    response.reset();
    EXPECT_EQ(response.trailers(), "");
}

}  // namespace
}  // namespace coir::http
