#pragma once

#include <optional>
#include <stop_token>

#include "coir/net/tcp_stream.hpp"

namespace coir::http {

/// Tells a handler that asks for it when its client has gone, or its time is over. Costs nothing
/// where nobody asks.
///
/// Threads: the fiber that serves the connection.
class ClientWatch final {
public:
    /// Of the connection to which the exchange is lent.
    void attach(net::TcpStream& stream) noexcept { stream_ = &stream; }
    /// Throws std::bad_alloc, std::system_error.
    [[nodiscard]] std::stop_token token();
    /// The handler has returned: nobody is told any more.
    void end() noexcept {
        if (gone_) [[unlikely]] {
            forget();
        }
    }

private:
    void forget() noexcept;

    net::TcpStream* stream_ = nullptr;
    std::optional<std::stop_source> gone_;  // while somebody may hold a token of it
};

}  // namespace coir::http
