#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <span>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "stress/seed.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using test::SmallRandom;
using test::soon;

constexpr int kConnections = 200;
constexpr int kMessages = 200;
constexpr std::size_t kLargest = 3000;

void echo(net::TcpStream stream) {
    std::vector<std::byte> block(2048);
    for (;;) {
        const auto size = stream.read_some(block, soon());
        ASSERT_TRUE(size) << size.error().message();
        if (*size == 0) {
            return;
        }
        ASSERT_TRUE(stream.write_all(std::span(block).first(*size), soon()));
    }
}

void read_all(net::TcpStream& stream, std::span<std::byte> into) {
    while (!into.empty()) {
        const auto size = stream.read_some(into, soon());
        ASSERT_TRUE(size) << size.error().message();
        ASSERT_NE(*size, 0U);
        into = into.subspan(*size);
    }
}

TEST(EchoStress, ManyConnectionsGetTheirOwnBytesBack) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = 4});
    std::atomic<int> completed{0};
    runtime.run([&] {
        auto listener = test::listen_somewhere();
        const auto address = listener.local_address().value();
        test::JoinedFiber acceptor = spawn([&] {
            std::vector<test::JoinedFiber<void>> servers;
            for (int i = 0; i != kConnections; ++i) {
                auto stream = listener.accept(soon()).value();
                servers.push_back(
                    spawn([stream = std::move(stream)]() mutable { echo(std::move(stream)); }));
            }
        });
        std::vector<test::JoinedFiber<void>> clients;
        for (int client = 0; client != kConnections; ++client) {
            clients.push_back(spawn({.worker = client % 4}, [&, client] {
                auto stream = net::TcpStream::connect(address, soon()).value();
                SmallRandom random(seed, client);
                std::vector<std::byte> sent(kLargest);
                std::vector<std::byte> received(kLargest);
                for (int message = 0; message != kMessages; ++message) {
                    const auto size = 1 + static_cast<std::size_t>(random.below(int{kLargest}));
                    for (std::size_t i = 0; i < size; i += 8) {
                        const std::uint64_t word = random.next();
                        std::memcpy(sent.data() + i, &word, std::min<std::size_t>(8, size - i));
                    }
                    ASSERT_TRUE(stream.write_all(std::span(sent).first(size), soon()));
                    read_all(stream, std::span(received).first(size));
                    ASSERT_EQ(std::memcmp(sent.data(), received.data(), size), 0)
                        << "client " << client << ", message " << message;
                    if (random.below(50) == 0) {
                        this_fiber::yield();
                    }
                }
                ++completed;
            }));
        }
    });
    EXPECT_EQ(completed, kConnections);
}

TEST(EchoStress, ShortLivedConnectionsComeAndGo) {
    Runtime runtime({.workers = 4});
    std::atomic<int> completed{0};
    runtime.run([&] {
        auto listener = test::listen_somewhere();
        const auto address = listener.local_address().value();
        constexpr int kClients = 16;
        constexpr int kEach = 60;
        test::JoinedFiber acceptor = spawn([&] {
            std::vector<test::JoinedFiber<void>> servers;
            for (int i = 0; i != kClients * kEach; ++i) {
                auto stream = listener.accept(soon()).value();
                servers.push_back(
                    spawn([stream = std::move(stream)]() mutable { echo(std::move(stream)); }));
            }
        });
        std::vector<test::JoinedFiber<void>> clients;
        for (int client = 0; client != kClients; ++client) {
            clients.push_back(spawn({.worker = client % 4}, [&] {
                for (int i = 0; i != kEach; ++i) {
                    auto stream = net::TcpStream::connect(address, soon()).value();
                    std::array<std::byte, 100> bytes{};
                    bytes.fill(static_cast<std::byte>(i));
                    ASSERT_TRUE(stream.write_all(bytes, soon()));
                    std::array<std::byte, 100> back{};
                    read_all(stream, back);
                    ASSERT_EQ(back, bytes);
                    ++completed;
                }
            }));
        }
        clients.clear();
        EXPECT_EQ(completed, kClients * kEach);
    });
}

}  // namespace
}  // namespace coir
