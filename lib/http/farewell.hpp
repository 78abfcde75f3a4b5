#pragma once

#include <optional>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/net/tcp_stream.hpp"
#include "patience.hpp"

namespace coir::http {

struct ServerCore;
struct ServerOptions;

/// The end of a connection whose last word has been said.
///
/// The problem: closing a socket with unread bytes resets the connection, and so do bytes that come
/// later. A reset can overtake the reply, or make the client drop it. So one finishes sending, and drops what still
/// comes until the client has finished too.
///
/// Threads: one fiber at a time.
class Farewell final {
public:
    /// Requires: sending is shut down.
    explicit Farewell(const ServerOptions& options) noexcept;

    /// Drops what has come. Until when to wait for more; none if the client has finished, or has had the time that
    /// the options grant. Suspends: to let others run, however much comes.
    [[nodiscard]] std::optional<Deadline> drop_arrived(net::TcpStream& stream) noexcept;

private:
    Patience patience_;
    Deadline end_;
    std::optional<Deadline::Clock::time_point> waits_since_;  // by the coarse clock
};

/// All of it. Suspends: until it is over.
void linger(net::TcpStream& stream, const ServerOptions& options) noexcept;

/// What can be done of it without waiting. True if the client has finished: nothing is left to be done.
bool finish_at_once(net::TcpStream& stream) noexcept;

/// A place among the connections that linger, of which there are not endlessly many: each holds a
/// descriptor for somebody who will get nothing more.
class LingerPlace final {
public:
    /// None if max_lingering_connections linger. A stopping server has a place for everybody: those that
    /// are open cost no more for it, and no new ones come. Threads: any.
    [[nodiscard]] static std::optional<LingerPlace> try_take(ServerCore& server) noexcept;
    LingerPlace(LingerPlace&& other) noexcept : server_(std::exchange(other.server_, nullptr)) {}
    LingerPlace& operator=(LingerPlace&& other) = delete;
    ~LingerPlace();

private:
    /// `server.lingering` counts it already.
    explicit LingerPlace(ServerCore& server) noexcept : server_(&server) {}

    ServerCore* server_;
};

}  // namespace coir::http
