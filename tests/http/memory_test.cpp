#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

#include "coir/runtime/this_fiber.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace {

// So many arrays, of which buffers are made, this thread does not get.
thread_local int refusals = 0;
// Nor anything else, such as the memory of strings.
thread_local bool refuses_all = false;

}  // namespace

// Not inlined: GCC would take malloc() and delete, or new and free(), for a pair that does not match.
[[gnu::noinline]] void* operator new(std::size_t size) {
    void* const memory = refuses_all ? nullptr : std::malloc(size != 0 ? size : 1);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

void* operator new[](std::size_t size) {
    if (refusals != 0) {
        --refusals;
        throw std::bad_alloc();
    }
    return ::operator new(size);
}
void operator delete[](void* memory) noexcept {
    ::operator delete(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    ::operator delete(memory);
}

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

// Names and values were collected one after the other, and stayed when there was no memory for the rest:
// the next line became part of the value. And the connection option `upgrade` came without the field.
TEST(Response, AFieldWithoutMemoryIsLeftOutWhole) {
    const std::string value(100, 'x');
    const auto is_refused = [](auto add) {
        refuses_all = true;
        try {
            (void)add();
        } catch (const std::bad_alloc&) {
            refuses_all = false;
            return true;
        }
        refuses_all = false;
        return false;
    };
    Response response;
    ASSERT_TRUE(response.header("X-A", "1").has_value());
    ASSERT_TRUE(response.trailer("X-B", "2").has_value());
    EXPECT_TRUE(is_refused([&] { return response.header("Upgrade", value); }));
    EXPECT_TRUE(is_refused([&] { return response.trailer("X-C", value); }));
    EXPECT_EQ(response.fields(), "X-A: 1\r\n");
    EXPECT_EQ(response.trailers(), "X-B: 2\r\n");
    EXPECT_FALSE(response.names_upgrade());
}

bool is_refused_memory(Response& response, std::string_view data) {
    refusals = 1;  // nothing suspends here
    try {
        (void)response.write(data, kNever);
    } catch (const std::bad_alloc&) {
        return true;
    }
    refusals = 0;
    return false;
}

// The size of a chunk was collected before there was room for its data, and stayed when there was
// none: what the handler wrote next was no chunk.
TEST(BodyWriter, AWriteWithoutMemoryLeavesTheFramingWhole) {
    const std::string before = pattern(7'000);
    const std::string refused = pattern(2'000);
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        ASSERT_TRUE(response.write(before, kNever).has_value());
        EXPECT_TRUE(is_refused_memory(response, refused));
        ASSERT_TRUE(response.write("end", kNever).has_value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(kGet);
    EXPECT_EQ(client.receive().body, before + "end");
}

TEST(BodyWriter, AHeadWithoutMemoryIsMadeAgain) {
    const std::string large = pattern(20'000);
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        ASSERT_TRUE(response.header("X-Large", large).has_value());
        EXPECT_TRUE(is_refused_memory(response, "lost"));
        ASSERT_TRUE(response.write("end", kNever).has_value());
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(kGet);
    const auto reply = client.receive();
    EXPECT_EQ(reply.field("X-Large"), large);
    EXPECT_EQ(reply.body, "end");
}

void expect_500(const HttpReply& reply) {
    EXPECT_EQ(reply.status, 500);
    EXPECT_TRUE(reply.says_close());
    EXPECT_EQ(reply.body, "Internal Server Error\n");
}

// The connection was reset, and the replies to earlier requests, which had been collected, with it.
TEST(Connection, AnAnswerWithoutMemoryIsA500BehindTheEarlierReplies) {
    std::atomic<int> reports = 0;
    ServerOptions options;
    options.on_error = [&reports](const ServerError& error) {
        EXPECT_EQ(error.where, ServerError::Where::connection);
        EXPECT_EQ(error.path, "/");
        ++reports;
    };
    Router routes;
    routes.get("/1", test::say_path);
    routes.get("/", [](Request&, Response& response) {
        ASSERT_TRUE(response.header("X-Large", pattern(20'000)).has_value());
        refusals = 1;
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(get("/1") + get("/") + get("/1"));
    EXPECT_EQ(client.receive().body, "/1");
    expect_500(client.receive());
    client.expect_end();
    EXPECT_EQ(reports, 1);
    EXPECT_EQ(served.stats().requests, 2U);
    TcpClient next(served.port());
    next.send(get("/1"));
    EXPECT_EQ(next.receive().body, "/1");
}

TEST(Connection, A500WithoutMemoryIsSaidAllTheSame) {
    const std::string before = pattern(7'850);  // and the head: little is left of the buffer
    Router routes;
    routes.get("/1", [&](Request&, Response& response) { response.body(before); });
    routes.get("/", [](Request&, Response&) {
        refusals = 1;
        throw std::runtime_error("no more");
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(get("/1") + get("/"));
    EXPECT_EQ(client.receive().body, before);
    expect_500(client.receive());
    client.expect_end();
}

TEST(Connection, AHeadThatThereIsNoMemoryForIsA500) {
    Router routes;
    routes.get("/", [](Request&, Response&) { refusals = 1; });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(get("/") + "GET / HTTP/1.1\r\nX: " + pattern(6'000));
    EXPECT_EQ(client.receive().status, 200);
    expect_500(client.receive());
    client.expect_end();
}

TEST(Connection, ARequestThatThereIsNoMemoryForIsA500) {
    std::atomic<int> waiting = 0;
    std::atomic<bool> may_go_on = false;
    Router routes;
    routes.get("/1", test::say_path);
    routes.get("/", [&](Request&, Response&) {
        if (++waiting == 2) {
            refusals = 1;
        }
        const Deadline end = coir::test::soon();
        while (!may_go_on && !end.has_passed(Deadline::Clock::now())) {
            this_fiber::yield();
        }
    });
    Served served(std::move(routes), {}, 1);
    TcpClient client(served.port());
    client.send(get("/1"));
    EXPECT_EQ(client.receive().body, "/1");
    // They use up what the first client has left behind.
    TcpClient one(served.port());
    TcpClient two(served.port());
    int expected = 0;
    for (TcpClient* const other : {&one, &two}) {
        other->send(get("/"));
        ++expected;
        ASSERT_TRUE(
            coir::test::holds_before(coir::test::soon(), [&] { return waiting == expected; }));
    }
    client.send(get("/1"));
    expect_500(client.receive());
    client.expect_end();
    may_go_on = true;
    EXPECT_EQ(one.receive().status, 200);
    EXPECT_EQ(two.receive().status, 200);
}

// A second call took the rest of the body for the whole.
TEST(BodyReader, ABodyThatThereWasNoMemoryForIsNotReadOn) {
    Router routes;
    routes.post("/", [](Request& request, Response&) {
        refusals = 1;
        EXPECT_THROW((void)request.body().read_all(kNever), std::bad_alloc);
        const auto rest = request.body().read_all(kNever);
        EXPECT_EQ(rest.error(), std::errc::not_enough_memory);
        EXPECT_EQ(request.body().error(), std::errc::not_enough_memory);
    });
    Served served(std::move(routes));
    TcpClient client(served.port());
    client.send(chunked("/", "5\r\nhello\r\n"));
    client.wait_until_read();
    (void)client.try_send("5\r\nworld\r\n0\r\n\r\n");
    expect_500(client.receive());
}

}  // namespace
}  // namespace coir::http
