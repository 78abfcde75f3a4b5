#include "farewell.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "coir/base/syscall.hpp"
#include "coir/runtime/this_fiber.hpp"
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
[[gnu::noinline]] Dropped drop_all(net::TcpStream& stream) noexcept {
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

Farewell::Farewell(const ServerOptions& options) noexcept
    : patience_(options.linger_timeout, options.slowest_bytes_per_second),
      end_(Deadline::roughly_after(std::max(options.linger_timeout, options.body_timeout))) {}

std::optional<Deadline> Farewell::drop_arrived(net::TcpStream& stream) noexcept {
    if (waits_since_) {
        patience_.spend(coarse_now() - *waits_since_);
        if (patience_.is_over()) {
            return std::nullopt;
        }
    }
    const Dropped dropped = drop_all(stream);
    if (dropped.end == Dropped::End::finished || end_.has_passed(coarse_now())) {
        return std::nullopt;
    }
    patience_.earn(dropped.bytes);
    if (dropped.end == Dropped::End::much) {
        this_fiber::yield();  // the next wait will be none
    }
    waits_since_ = coarse_now();
    return std::min(end_, Deadline::roughly_after(patience_.left()));
}

void linger(net::TcpStream& stream, const ServerOptions& options) noexcept {
    if (!stream.shutdown(net::Shutdown::write)) {
        return;
    }
    Farewell farewell(options);
    while (const auto until = farewell.drop_arrived(stream)) {
        if (!stream.wait_readable(*until)) {
            return;
        }
    }
}

bool finish_at_once(net::TcpStream& stream) noexcept {
    return !stream.shutdown(net::Shutdown::write) || drop_all(stream).end == Dropped::End::finished;
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
