#include "farewell.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "coir/base/syscall.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "patience.hpp"
#include "server_core.hpp"

namespace coir::http {
namespace {

// Before others get their turn: 128 KiB, some 50 us.
constexpr int kReadsInARow = 32;

struct Dropped {
    enum class End { all_there_was, much, finished };
    End end;
    std::size_t bytes;
};

// Never inlined: the buffer would lie in the frame of a connection that waits.
[[gnu::noinline]] Dropped drop_arrived(net::TcpStream& stream) noexcept {
    std::array<std::byte, 4096> dropped;
    std::size_t bytes = 0;
    for (int i = 0; i < kReadsInARow; ++i) {
        const auto read = stream.try_read_some(dropped);
        if (!read) {
            return {syscall::would_block(read.error()) ? Dropped::End::all_there_was
                                                       : Dropped::End::finished,
                    bytes};
        }
        if (*read == 0) {
            return {Dropped::End::finished, bytes};
        }
        bytes += *read;
    }
    return {Dropped::End::much, bytes};
}

}  // namespace

void linger(net::TcpStream& stream, const ServerOptions& options) noexcept {
    if (!stream.shutdown(net::Shutdown::write)) {
        return;
    }
    Patience patience(options.linger_timeout, options.slowest_bytes_per_second);
    const Deadline end =
        Deadline::roughly_after(std::max(options.linger_timeout, options.body_timeout));
    for (;;) {
        const Dropped dropped = drop_arrived(stream);
        if (dropped.end == Dropped::End::finished || end.has_passed(coarse_now())) {
            return;
        }
        patience.earn(dropped.bytes);
        if (dropped.end == Dropped::End::much) {
            this_fiber::yield();  // the next wait will be none
        }
        const auto begun = coarse_now();
        if (!stream.wait_readable(std::min(end, Deadline::roughly_after(patience.left())))) {
            return;
        }
        patience.spend(coarse_now() - begun);
        if (patience.is_over()) {
            return;
        }
    }
}

bool finish_at_once(net::TcpStream& stream) noexcept {
    return !stream.shutdown(net::Shutdown::write) ||
           drop_arrived(stream).end == Dropped::End::finished;
}

void say_farewell(net::TcpStream& stream, ServerCore& server) noexcept {
    if (const auto place = LingerPlace::try_take(server)) {
        linger(stream, server.options);
    } else {
        (void)finish_at_once(stream);
    }
}

std::optional<LingerPlace> LingerPlace::try_take(ServerCore& server) noexcept {
    if (ServerCore::try_count(server.lingering, server.options.max_lingering_connections)) {
        return LingerPlace(server);
    }
    if (server.connections.is_closing()) {
        server.lingering.fetch_add(1, std::memory_order_relaxed);
        return LingerPlace(server);
    }
    return std::nullopt;
}

LingerPlace::~LingerPlace() {
    if (server_ != nullptr) {
        server_->count_down(server_->lingering);
    }
}

}  // namespace coir::http
