#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "coir/base/unique_fd.hpp"
#include "coir/net/tcp_stream.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "http/connection.hpp"
#include "http/server_core.hpp"

namespace coir::http::test {

/// A connection over one end of a pair of sockets, without listener and serve().
/// Requires: called on a fiber; core->prepare() has been.
inline void start_lone_connection(const std::shared_ptr<ServerCore>& core, UniqueFd end) {
    start_session<Connection>({.name = "lone"}, net::TcpStream(std::move(end)),
                              OpenConnection::try_open(core, {}).value());
}

/// Suspends until all of them have ended.
inline void await_lone_connections(const ServerCore& core) {
    while (core.open.load(std::memory_order_acquire) != 0) {
        this_fiber::yield();
    }
}

}  // namespace coir::http::test
