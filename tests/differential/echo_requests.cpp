// Servers that answer each request with what they have taken it for, so that it can be compared
// with what another server takes it for. All have the default limits; they differ in how they read
// a body:
//
//     whole, pieces, unread   for clients
//     view                    behind a proxy that forwards nothing but bodies: counts their bytes
//     front                   behind a proxy that forwards requests, each with a field X-Id
//
// They say so in the first line of output, and end with the input. Then comes what `front` has had.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/http/body_reader.hpp"
#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "coir/http/server.hpp"
#include "coir/runtime/runtime.hpp"

namespace {

using coir::Deadline;
using coir::http::Method;
using coir::http::Request;
using coir::http::Response;
using coir::http::Router;
using coir::http::Server;

/// FNV-1a, for bodies that come in pieces.
class Digest final {
public:
    void add(std::span<const std::byte> bytes) noexcept {
        size_ += bytes.size();
        for (const std::byte byte : bytes) {
            hash_ = (hash_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
        }
    }
    [[nodiscard]] std::string text() const {
        std::array<char, 40> text;
        const int size = std::snprintf(text.data(), text.size(), "%zu:%016llx", size_,
                                       static_cast<unsigned long long>(hash_));
        return {text.data(), static_cast<std::size_t>(size)};
    }

private:
    std::size_t size_ = 0;
    std::uint64_t hash_ = 0xcbf29ce484222325;
};

enum class Reading { whole, pieces, unread };

struct Counts {
    std::atomic<std::uint64_t> whole{0};      // requests whose body has been read to its end
    std::atomic<std::uint64_t> strangers{0};  // requests without exactly one X-Id
};

std::string failure(const coir::http::BodyReader& body) {
    return body.error() == coir::Errc::unexpected_eof ? "incomplete" : "refused";
}

std::string read_body(coir::http::BodyReader& body, Reading reading) {
    Digest digest;
    if (reading == Reading::unread) {
        return body.at_end() ? digest.text() : "unread";
    }
    if (reading == Reading::whole) {
        const auto whole = body.read_all(Deadline::never());
        if (!whole) {
            return failure(body);
        }
        digest.add(std::as_bytes(std::span(*whole)));
        return digest.text();
    }
    std::array<std::byte, 7> piece;
    for (;;) {
        const auto size = body.read_some(piece, Deadline::never());
        if (!size) {
            return failure(body);
        }
        if (*size == 0) {
            return digest.text();
        }
        digest.add(std::span(piece).first(*size));
    }
}

void echo(Request& request, Response& response, Reading reading, Counts& counts) {
    std::string seen(coir::http::as_text(request.method()));
    seen.append(" ").append(request.target()).append(" ");
    const std::string body = read_body(request.body(), reading);
    response.header("X-Seen", seen + body).value();
    if (body == "incomplete" || body == "refused") {
        response.status(coir::http::Status::bad_request);
        return;
    }
    ++counts.whole;
    if (request.headers().count("X-Id") == 1) {
        response.header("X-Id", *request.header("X-Id")).value();
    } else {
        ++counts.strangers;
    }
}

// The engine answers longer paths, and those with an empty segment, with 404.
constexpr std::array kPatterns = {"/", "/{a}", "/{a}/{b}", "/{a}/{b}/{c}", "/{a}/{b}/{c}/{d}"};

Router echo_router(Reading reading, Counts& counts) {
    Router router;
    for (const char* const pattern : kPatterns) {
        for (std::size_t method = 0; method != coir::http::kMethodCount; ++method) {
            router.handle(static_cast<Method>(method), pattern,
                          [reading, &counts](Request& request, Response& response) {
                              echo(request, response, reading, counts);
                          });
        }
    }
    return router;
}

struct Named {
    std::string_view name;
    Reading reading;
};
constexpr std::array kServers = {Named{"whole", Reading::whole}, Named{"pieces", Reading::pieces},
                                 Named{"unread", Reading::unread}, Named{"view", Reading::whole},
                                 Named{"front", Reading::pieces}};

}  // namespace

int main() try {
    std::array<Counts, kServers.size()> counts;
    coir::Runtime runtime({.workers = 1});
    std::deque<Server> servers;
    std::vector<coir::FiberHandle<void>> serving;
    for (std::size_t i = 0; i != kServers.size(); ++i) {
        Server& server = servers.emplace_back(echo_router(kServers[i].reading, counts[i]));
        const auto address = runtime.run(
            [&] { return server.listen(coir::net::SocketAddress::loopback(0)).value(); });
        std::printf("%s%s=%d", i == 0 ? "" : " ", kServers[i].name.data(), address.port());
        serving.push_back(runtime.spawn([&server] { server.serve(); }));
    }
    std::printf("\n");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    for (Server& server : servers) {
        server.stop(Deadline::after({}));
    }
    for (auto& fiber : serving) {
        fiber.join();
    }
    std::printf("front: %llu whole, %llu without X-Id\n",
                static_cast<unsigned long long>(counts.back().whole.load()),
                static_cast<unsigned long long>(counts.back().strangers.load()));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "coir-echo-requests: %s\n", error.what());
    return 1;
}
