#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "coir/base/number.hpp"
#include "coir/net/tcp_stream.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "sample_routes.hpp"
#include "support/process_facts.hpp"

namespace coir::http {
namespace {

using coir::test::resident_bytes;
using coir::test::soon;
using std::chrono::milliseconds;
using test::kNever;
using test::Served;

constexpr std::size_t kPiece = 256 * 1024;
// What the kernel may hold of one connection on both sides, with room to spare: its usual limits are
// 4 MB for what is sent and 6 MB for what is received.
constexpr std::uint64_t kKernels = 40'000'000;
// What the process may grow by, whatever goes through it. A sanitizer keeps what is freed for a while.
constexpr std::size_t kFlat = 24'000'000;

/// How much an upload has. 10 GB takes a quarter of a minute: run this program by itself with
/// COIR_UPLOAD_BYTES=10000000000.
std::uint64_t upload_bytes() {
    const char* const wanted = std::getenv("COIR_UPLOAD_BYTES");
    return wanted == nullptr ? 300'000'000 : parse_integer<std::uint64_t>(wanted).value();
}

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

/// Reads the rest of the body by pieces, and how much it was.
std::uint64_t count(BodyReader& body) {
    const auto piece = std::make_unique<std::byte[]>(kPiece);
    std::uint64_t total = 0;
    for (;;) {
        const auto size = body.read_some({piece.get(), kPiece}, kNever);
        if (!size || *size == 0) {
            EXPECT_TRUE(size) << size.error().message();
            return total;
        }
        total += *size;
    }
}

/// The last bytes of the response.
std::string last_of_response(net::TcpStream& stream, std::size_t size) {
    EXPECT_TRUE(stream.shutdown(net::Shutdown::write));
    std::string reply;
    std::array<std::byte, 1000> piece;
    for (;;) {
        const auto read = stream.read_some(piece, soon());
        if (!read || *read == 0) {
            return reply.substr(reply.size() - std::min(reply.size(), size));
        }
        reply.append(reinterpret_cast<const char*>(piece.data()), *read);
    }
}

TEST(BodyReader, AHandlerThatDoesNotReadStopsTheSender) {
    std::atomic<bool> may_read = false;
    Router routes;
    routes.post("/",
                [&](Request& request, Response& response) {
                    std::array<std::byte, 1> first;
                    EXPECT_EQ(request.body().read_some(first, kNever).value(), 1U);
                    while (!may_read) {
                        this_fiber::sleep_for(milliseconds(5));
                    }
                    response.body(std::to_string(1 + count(request.body())));
                },
                {.max_body_bytes = std::max<std::uint64_t>(upload_bytes(), 2 * kKernels)});
    Served served(std::move(routes));
    auto stream =
        net::TcpStream::connect(net::SocketAddress::loopback(served.port()), soon()).value();
    const std::uint64_t size = std::max<std::uint64_t>(upload_bytes(), 2 * kKernels);
    ASSERT_TRUE(stream.write_all(
        bytes_of("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " +
                 std::to_string(size) + "\r\n\r\n"),
        soon()));
    const std::vector<std::byte> piece(kPiece, std::byte{'x'});
    const std::size_t before = resident_bytes();
    std::uint64_t sent = 0;
    const auto send_some = [&](Deadline deadline) {
        const auto part = std::min<std::uint64_t>(size - sent, kPiece);
        const auto taken =
            stream.write_some(std::span(piece).first(static_cast<std::size_t>(part)), deadline);
        sent += taken ? *taken : 0;
        return taken.error();
    };
    std::error_code stopped;
    while (!stopped && sent < size) {
        stopped = send_some(Deadline::after(milliseconds(300)));
    }
    EXPECT_EQ(stopped, std::errc::timed_out);
    EXPECT_LT(sent, kKernels);
    EXPECT_LT(resident_bytes(), before + kFlat);
    may_read = true;
    while (sent < size) {
        ASSERT_FALSE(send_some(soon())) << sent;
    }
    const std::string total = std::to_string(size);
    EXPECT_EQ(last_of_response(stream, total.size()), total);
}

void upload_leaves_memory_flat(bool chunked) {
    const std::uint64_t size = upload_bytes() / kPiece * kPiece;
    Router routes;
    routes.post("/",
                [](Request& request, Response& response) {
                    response.body(std::to_string(count(request.body())));
                },
                {.max_body_bytes = size});
    Served served(std::move(routes));
    auto stream =
        net::TcpStream::connect(net::SocketAddress::loopback(served.port()), soon()).value();
    std::string piece(kPiece, 'x');
    std::string head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    if (chunked) {
        piece = "40000\r\n" + piece + "\r\n";
        static_assert(kPiece == 0x40000);
        head += "Transfer-Encoding: chunked\r\n\r\n";
    } else {
        head += "Content-Length: " + std::to_string(size) + "\r\n\r\n";
    }
    ASSERT_TRUE(stream.write_all(bytes_of(head), soon()));
    const auto begun = std::chrono::steady_clock::now();
    std::size_t early = 0;
    std::size_t most = 0;
    for (std::uint64_t sent = 0; sent < size; sent += kPiece) {
        ASSERT_TRUE(stream.write_all(bytes_of(piece), soon())) << sent;
        // Not for each piece: the kernel looks at every page.
        if (const std::uint64_t pieces = sent / kPiece; pieces == 64) {
            early = resident_bytes();
        } else if (pieces % 256 == 0) {
            most = std::max(most, resident_bytes());
        }
    }
    if (chunked) {
        ASSERT_TRUE(stream.write_all(bytes_of("0\r\n\r\n"), soon()));
    }
    const std::string total = std::to_string(size);
    EXPECT_EQ(last_of_response(stream, total.size()), total);
    most = std::max(most, resident_bytes());
    EXPECT_LT(most, early + kFlat);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    std::cout << total << " bytes in " << took.count() << " s, resident after 16 MB: " << early
              << ", at most: " << most << std::endl;
}

TEST(BodyReader, AnUploadOfAnyLengthLeavesMemoryFlat) {
    upload_leaves_memory_flat(false);
}

TEST(BodyReader, AnUploadOfAnyNumberOfChunksLeavesMemoryFlat) {
    upload_leaves_memory_flat(true);
}

}  // namespace
}  // namespace coir::http
