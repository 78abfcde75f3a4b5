#include <gtest/gtest.h>

#include <cstddef>
#include <new>
#include <string>

#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace {

// While true, this thread gets no arrays, of which buffers are made.
thread_local bool memory_is_gone = false;

}  // namespace

void* operator new[](std::size_t size) {
    if (memory_is_gone) {
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

using coir::test::TcpClient;
using test::kGet;
using test::kNever;
using test::pattern;
using test::Served;

bool is_refused_memory(Response& response, std::string_view data) {
    memory_is_gone = true;  // nothing suspends here
    bool refused = false;
    try {
        (void)response.write(data, kNever);
    } catch (const std::bad_alloc&) {
        refused = true;
    }
    memory_is_gone = false;
    return refused;
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

}  // namespace
}  // namespace coir::http
