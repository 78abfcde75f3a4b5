#pragma once

#include <optional>
#include <utility>

#include "coir/net/tcp_stream.hpp"

namespace coir::http {

struct ServerCore;
struct ServerOptions;

/// The problem: closing a socket with unread bytes resets the connection, and so do bytes that come
/// later. A reset can overtake the reply, or make the client drop it. So a connection whose last word
/// has been said finishes sending, and drops what still comes until the client has finished too.

/// Suspends: until the client has finished, or has been given the time that `options` grant; lets
///           others run meanwhile, however much comes.
void linger(net::TcpStream& stream, const ServerOptions& options) noexcept;

/// What can be done of it without waiting. True if the client has finished: nothing is left to be done.
bool finish_at_once(net::TcpStream& stream) noexcept;

/// Lingers as long as the server's options say; if too many do, only finishes at once.
void say_farewell(net::TcpStream& stream, ServerCore& server) noexcept;

/// A place among the connections that linger, of which there are not endlessly many: each holds a
/// descriptor and a stack for somebody who will get nothing more.
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
