#pragma once

#include <system_error>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/address.hpp"
#include "coir/net/socket_access.hpp"
#include "coir/net/tcp_stream.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir::net {

struct ListenOptions {
    /// Connections that the kernel holds until they are accepted; it cuts this to net.core.somaxconn.
    int backlog = 4096;
    /// SO_REUSEPORT: several listeners share the port and the kernel spreads connections over them.
    bool share_port = false;
    /// TCP_NODELAY, inherited by every accepted stream: a reply leaves with the write that made it.
    bool no_delay = true;
    /// An IPv6 listener takes no IPv4 connections; so another can have the port's IPv4 side.
    bool only_ipv6 = false;
};

/// A listening TCP socket.
///
/// Threads: one accepting fiber at a time; close() and cancel() from anywhere. Where several should
/// accept, each has its own listener with share_port. An accept() that ends with timed_out, or with
/// operation_canceled because its fiber was asked to stop, has taken no connection.
class TcpListener final {
public:
    struct Accepted {
        TcpStream stream;
        SocketAddress peer;
    };

    TcpListener() noexcept = default;

    /// Errors: address_in_use, permission_denied, address_not_available. Never suspends.
    [[nodiscard]] static Result<TcpListener> bind(const SocketAddress& address,
                                                  const ListenOptions& options = {}) noexcept;

    /// Whether nobody listens on `address`, not even with SO_REUSEPORT, where bind() could succeed
    /// beside a stranger. Returns the address with the port that the kernel chose for port 0. Nobody
    /// can connect meanwhile, and nothing is kept: another program can be faster.
    /// Errors: as bind(). Never suspends.
    [[nodiscard]] static Result<SocketAddress> find_free(const SocketAddress& address) noexcept;

    /// Suspends: until a connection has come.
    /// Errors:   timed_out, operation_canceled after close(), too_many_files_open and
    ///           too_many_files_open_in_system: the connection stays in the queue then. Connections
    ///           that died while queued are skipped.
    /// Cost:     one accept4, two if it waited.
    [[nodiscard]] Result<TcpStream> accept(Deadline deadline) noexcept;
    /// The same, and who has connected; cheaper than to ask the stream.
    [[nodiscard]] Result<Accepted> accept_from(Deadline deadline) noexcept;
    /// A connection that is waiting already; resource_unavailable_try_again if there is none. Threads:
    /// any, while *this lives.
    [[nodiscard]] Result<TcpStream> try_accept() noexcept;
    [[nodiscard]] Result<Accepted> try_accept_from() noexcept;
    /// Waits until a connection has come, and leaves it in the queue: for who has no descriptor for it
    /// yet. Only what has come since a try_accept() found none is certain to be noticed.
    /// Suspends: until then, or `deadline`; may end for nothing. Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait_acceptable(Deadline deadline) noexcept {
        return source_.wait_readable(deadline);
    }

    /// Refuses new connections, resets the queued ones and wakes accept() with operation_canceled.
    /// Threads: any, while *this lives.
    void close() noexcept;
    /// Wakes accept() with operation_canceled but leaves the queue: try_accept() can empty it before
    /// close(). Threads: any, while *this lives.
    void cancel() noexcept { source_.cancel(); }

    /// For the streams that are accepted from now on; see TcpStream.
    [[nodiscard]] Result<void> set_ttl(int hops) noexcept;
    [[nodiscard]] Result<int> ttl() const noexcept;
    /// An error that nobody has been told of (SO_ERROR); none if there is none.
    [[nodiscard]] std::error_code take_error() noexcept;
    /// The address with the port that the kernel chose for port 0.
    [[nodiscard]] Result<SocketAddress> local_address() const noexcept;
    [[nodiscard]] bool is_open() const noexcept {
        return source_.is_open() && !source_.is_canceled();
    }
    [[nodiscard]] int native_handle() const noexcept { return source_.fd(); }

private:
    friend struct detail::SocketAccess;

    explicit TcpListener(UniqueFd socket) noexcept : source_(std::move(socket)) {}

    IoSource source_;
};

}  // namespace coir::net
