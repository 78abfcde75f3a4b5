#pragma once

#include <memory>

#include "coir/base/unique_fd.hpp"
#include "coir/net/tcp_listener.hpp"
#include "server_core.hpp"

namespace coir::http {

/// One listener and the fiber that accepts from it, pinned to its worker.
///
/// The problem: at the descriptor limit accept() fails and leaves the connection in the queue, so a
/// loop would spin. The acceptor keeps a descriptor in reserve, spends it to take that connection
/// out and close it, which tells the client, and then waits a little.
class Acceptor final {
public:
    Acceptor(std::shared_ptr<ServerCore> core, net::TcpListener listener) noexcept
        : core_(std::move(core)), listener_(std::move(listener)) {}

    /// Starts a fiber for each connection until stop(), then for those in the queue, and closes the
    /// listener. Suspends: all the time.
    void run() noexcept;
    /// Threads: any, while *this lives.
    void stop() noexcept { listener_.cancel(); }

private:
    void start(net::TcpStream stream) noexcept;
    void refuse(net::TcpStream stream) noexcept;
    void shed(std::error_code error) noexcept;

    std::shared_ptr<ServerCore> core_;
    net::TcpListener listener_;
    UniqueFd reserve_;
};

}  // namespace coir::http
