#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/base/syscall.hpp"
#include "coir/runtime/file.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::HttpReply;
using coir::test::soon;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using test::get;
using test::kGet;
using test::kNever;
using test::pattern;
using test::Served;

/// A file that is gone with the test.
class TemporaryFile final {
public:
    explicit TemporaryFile(std::string_view content) {
        std::string name = (std::filesystem::temp_directory_path() / "coir-XXXXXX").string();
        const UniqueFd made(::mkstemp(name.data()));
        if (!made) {
            throw std::system_error(syscall::last_error(), name);
        }
        path_ = name;
        std::ofstream(path_, std::ios::binary) << content;
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() { std::filesystem::remove(path_); }

    [[nodiscard]] std::string path() const { return path_.string(); }
    [[nodiscard]] File open() const { return File::open(path(), {}, soon()).value(); }
    void resize(std::uintmax_t bytes) const { std::filesystem::resize_file(path_, bytes); }

private:
    std::filesystem::path path_;
};

std::string head(std::string_view path) {
    return "HEAD " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

TEST(Response, SendsAFileOrAPartOfIt) {
    const std::string content = pattern(3'000'000);
    const TemporaryFile file(content);
    Router routes = test::sample_router();
    routes.get("/whole", [&](Request&, Response& response) {
        File opened = file.open();
        const std::uint64_t size = opened.size(soon()).value();
        response.content_type(media::text_plain).file(std::move(opened), 0, size);
    });
    routes.get("/part", [&](Request&, Response& response) {
        response.status(Status::partial_content).file(file.open(), 1000, 50);
    });
    routes.get("/nothing",
               [&](Request&, Response& response) { response.file(file.open(), 1000, 0); });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(get("/1") + get("/whole") + get("/part") + get("/nothing") + get("/2"));
    EXPECT_EQ(client.receive().body, "/1");
    HttpReply reply = client.receive();
    EXPECT_EQ(reply.field("Content-Type"), "text/plain");
    EXPECT_EQ(reply.field("Content-Length"), "3000000");
    EXPECT_EQ(reply.body, content);
    reply = client.receive();
    EXPECT_EQ(reply.status, 206);
    EXPECT_EQ(reply.body, content.substr(1000, 50));
    EXPECT_EQ(client.receive().field("Content-Length"), "0");
    EXPECT_EQ(client.receive().body, "/2");
    client.send(head("/whole") + get("/part"));
    reply = client.receive_to_head();
    EXPECT_EQ(reply.field("Content-Length"), "3000000");
    EXPECT_EQ(client.receive().body, content.substr(1000, 50));
}

TEST(Response, SendsAFileToHttp10WithItsLength) {
    const TemporaryFile file("content");
    Router routes;
    routes.get("/", [&](Request&, Response& response) { response.file(file.open(), 0, 7); });
    Served served(std::move(routes));
    TcpClient client(served.port());
    for (int i = 0; i < 2; ++i) {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.field("Content-Length"), "7");
        EXPECT_EQ(reply.body, "content");
    }
}

TEST(Response, AFileCanBeSharedByManyResponses) {
    const TemporaryFile file("content");
    const auto shared = std::make_shared<const File>(file.open());
    Router routes;
    routes.get("/", [&](Request&, Response& response) { response.file(shared, 0, 7); });
    Served served(std::move(routes));
    TcpClient client(served.port());
    std::string burst;
    for (int i = 0; i < 100; ++i) {
        burst += kGet;
    }
    client.send(burst);
    for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(client.receive().body, "content");
    }
    client.close();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    EXPECT_EQ(shared.use_count(), 1);
}

TEST(Response, HasAFileOrABodyWhicheverIsSaidLast) {
    const TemporaryFile file("content");
    Router routes;
    routes.get("/body", [&](Request&, Response& response) {
        response.file(file.open(), 0, 7).body("body");
    });
    routes.get("/file", [&](Request&, Response& response) {
        response.body("body").file(file.open(), 0, 7);
    });
    for (const unsigned code : {204U, 205U, 304U}) {
        routes.get("/" + std::to_string(code), [code, &file](Request&, Response& response) {
            response.status(static_cast<Status>(code)).file(file.open(), 0, 7);
        });
    }
    routes.get("/mismatch", [&](Request&, Response& response) {
        response.content_length(6).file(file.open(), 0, 7);
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(get("/body") + get("/file") + get("/204") + get("/205") + get("/304") +
                get("/body") + get("/mismatch"));
    EXPECT_EQ(client.receive().body, "body");
    EXPECT_EQ(client.receive().body, "content");
    for (const int code : {204, 205, 304}) {
        const HttpReply reply = client.receive();
        EXPECT_EQ(reply.status, code);
        EXPECT_EQ(reply.body, "");
    }
    EXPECT_EQ(client.receive().body, "body");
    EXPECT_EQ(client.receive().status, 500);
}

TEST(Response, AFileThatHasBecomeShorterEndsTheConnectionInTheMiddle) {
    const TemporaryFile file(pattern(10'000));
    std::atomic<int> reports = 0;
    ServerOptions options;
    options.on_error = [&reports](const ServerError& error) {
        EXPECT_EQ(error.where, ServerError::Where::handler);
        EXPECT_EQ(error.error, make_error_code(Errc::unexpected_eof));
        ++reports;
    };
    Router routes = test::sample_router();
    routes.get("/short", [&](Request&, Response& response) {
        File opened = file.open();
        const std::uint64_t size = opened.size(soon()).value();
        file.resize(4000);
        response.file(std::move(opened), 0, size);
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(get("/1") + get("/short") + get("/2"));
    EXPECT_EQ(client.receive().body, "/1");
    const std::string rest = client.receive_rest();
    EXPECT_NE(rest.find("Content-Length: 10000\r\n"), std::string::npos);
    EXPECT_TRUE(rest.ends_with("\r\n\r\n" + pattern(4000)));
    EXPECT_EQ(reports, 1);
    EXPECT_EQ(served.stats().handler_failures, 1U);
}

TEST(Response, ADirectoryIsNoFile) {
    Router routes;
    routes.get("/", [](Request&, Response& response) {
        const std::string path = std::filesystem::temp_directory_path().string();
        response.file(File::open(path, {}, soon()).value(), 0, 7);
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(kGet);
    EXPECT_TRUE(client.receive_rest().ends_with("Content-Length: 7\r\n\r\n"));
    EXPECT_EQ(served.stats().handler_failures, 1U);
}

TEST(Response, AClientThatDoesNotTakeAFileIsCut) {
    const TemporaryFile file("");
    file.resize(100'000'000);
    ServerOptions options;
    options.write_timeout = milliseconds(200);
    options.slowest_bytes_per_second = 1'000'000'000;
    Router routes;
    routes.get("/",
               [&](Request&, Response& response) { response.file(file.open(), 0, 100'000'000); });
    Served served(std::move(routes), options);
    TcpClient client(served.port(), 4096);
    client.send(kGet);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().timeouts == 1; }));
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    EXPECT_EQ(served.stats().handler_failures, 0U);
}

TEST(BodyWriter, WritesFilesBetweenOtherPieces) {
    const std::string content = pattern(200'000);
    const TemporaryFile file(content);
    Router routes;
    const auto write = [&](Request&, Response& response) {
        const File opened = file.open();
        BodyWriter writer = response.body_writer();
        EXPECT_TRUE(writer.write("<", kNever).has_value());
        EXPECT_TRUE(writer.write_file(opened, 0, content.size(), kNever).has_value());
        EXPECT_TRUE(writer.write_file(opened, 10, 0, kNever).has_value());
        EXPECT_TRUE(writer.write_file(opened, 10, 10, kNever).has_value());
        EXPECT_TRUE(writer.write(">", kNever).has_value());
    };
    routes.get("/chunked", write);
    routes.get("/length", [&](Request& request, Response& response) {
        response.content_length(content.size() + 12);
        write(request, response);
        const auto more = response.body_writer().write_file(file.open(), 0, 1, kNever);
        EXPECT_EQ(more.error(), make_error_code(Errc::body_length_mismatch));
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(get("/chunked") + get("/length") + head("/chunked") + get("/length"));
    const std::string expected = "<" + content + content.substr(10, 10) + ">";
    HttpReply reply = client.receive();
    EXPECT_EQ(reply.field("Transfer-Encoding"), "chunked");
    EXPECT_EQ(reply.body, expected);
    EXPECT_EQ(client.receive().body, expected);
    EXPECT_EQ(client.receive_to_head().status, 200);
    EXPECT_EQ(client.receive().body, expected);
}

// The error stays, so that nothing follows the gap.
TEST(BodyWriter, AFileThatIsTooShortEndsTheBody) {
    const TemporaryFile file("content");
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        BodyWriter writer = response.body_writer();
        const auto short_of = make_error_code(Errc::unexpected_eof);
        EXPECT_EQ(writer.write_file(file.open(), 3, 7, kNever).error(), short_of);
        EXPECT_EQ(writer.write("more", kNever).error(), short_of);
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(kGet);
    EXPECT_TRUE(client.receive_rest().ends_with("\r\n\r\n7\r\ntent"));
    // Where the connection ends the body, only a reset tells.
    TcpClient old(served.port());
    old.send("GET / HTTP/1.0\r\n\r\n");
    EXPECT_ANY_THROW((void)old.receive_rest());
}

}  // namespace
}  // namespace coir::http
