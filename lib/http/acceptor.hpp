#pragma once

#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "coir/base/unique_fd.hpp"
#include "coir/net/tcp_listener.hpp"
#include "server_core.hpp"

namespace coir::http {

/// One listener and the fiber that accepts from it, pinned to its worker.
///
/// The problem: at the descriptor limit accept() fails and leaves the connection in the queue, so a
/// loop would spin. The acceptor keeps a descriptor in reserve and spends it to take that connection out:
/// the client is told, or served if there is room again.
class Acceptor final {
public:
    Acceptor(std::shared_ptr<ServerCore> core, net::TcpListener listener) noexcept
        : core_(std::move(core)), listener_(std::move(listener)) {}

    /// Starts a session for each connection until stop(). Suspends: all the time.
    void run() noexcept;
    /// Ends run() and closes the listener; clients in its queue have been told that they are connected,
    /// and are kept for start_late(). Does not wait, also where run() cannot end because its worker computes.
    /// Threads: any, one at a time, while *this lives.
    void stop() noexcept;
    /// Starts those. Requires: called on a fiber, after stop(), by nobody else at the time.
    void start_late() noexcept;

private:
    using Accepted = net::TcpListener::Accepted;

    void start(Accepted accepted) noexcept;
    void refuse(net::TcpStream stream) noexcept;
    [[nodiscard]] bool make_room(std::error_code error) noexcept;

    std::shared_ptr<ServerCore> core_;
    net::TcpListener listener_;
    UniqueFd reserve_;
    std::vector<Accepted> late_;
};

}  // namespace coir::http
