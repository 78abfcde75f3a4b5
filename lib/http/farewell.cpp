#include "farewell.hpp"

#include <array>
#include <cstddef>

#include "coir/base/syscall.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "server_core.hpp"

namespace coir::http {
namespace {

// Before others get their turn: 128 KiB, some 50 us.
constexpr int kReadsInARow = 32;

enum class Dropped { all_there_was, much, to_the_end };

// Never inlined: the buffer would lie in the frame of a connection that waits.
[[gnu::noinline]] Dropped drop_arrived(net::TcpStream& stream) noexcept {
    std::array<std::byte, 4096> dropped;
    for (int i = 0; i < kReadsInARow; ++i) {
        const auto read = stream.try_read_some(dropped);
        if (!read) {
            return syscall::would_block(read.error()) ? Dropped::all_there_was
                                                      : Dropped::to_the_end;
        }
        if (*read == 0) {
            return Dropped::to_the_end;
        }
    }
    return Dropped::much;
}

}  // namespace

void linger(net::TcpStream& stream, Deadline deadline) noexcept {
    if (!stream.shutdown(net::Shutdown::write)) {
        return;
    }
    do {
        const Dropped dropped = drop_arrived(stream);
        if (dropped == Dropped::to_the_end) {
            return;
        }
        if (dropped == Dropped::much) {
            this_fiber::yield();  // the next wait will be none
        }
    } while (stream.wait_readable(deadline) && !deadline.has_passed(coarse_now()));
}

bool finish_at_once(net::TcpStream& stream) noexcept {
    return !stream.shutdown(net::Shutdown::write) || drop_arrived(stream) == Dropped::to_the_end;
}

void say_farewell(net::TcpStream& stream, ServerCore& server) noexcept {
    if (const auto place = LingerPlace::try_take(server)) {
        linger(stream, Deadline::roughly_after(server.options.linger_timeout));
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
