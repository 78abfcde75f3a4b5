#pragma once

#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/net/socket_access.hpp"
#include "coir/net/socket_file.hpp"
#include "coir/net/unix_address.hpp"
#include "coir/net/unix_stream.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir::net {

struct UnixListenOptions {
    /// Connections that the kernel holds until they are accepted; it cuts this to net.core.somaxconn.
    int backlog = 4096;
    SocketFileOptions file = {};
};

/// A listening Unix socket.
///
/// Where its address is a path it has a file, which the destructor removes before it stops listening;
/// see SocketFileOptions. After close() the file is still there, and refuses connections.
/// Threads: one accepting fiber at a time; close() and cancel() from anywhere. An accept() that ends
/// with timed_out, or with operation_canceled because its fiber was asked to stop, has taken nothing.
class UnixListener final {
public:
    struct Accepted {
        UnixStream stream;
        UnixAddress peer;
    };

    UnixListener() noexcept = default;
    UnixListener(UnixListener&&) noexcept = default;
    UnixListener& operator=(UnixListener&& other) noexcept;

    /// Unnamed: the kernel chooses an abstract name.
    /// Errors: address_in_use, permission_denied, no_such_file_or_directory. Never suspends.
    [[nodiscard]] static Result<UnixListener> bind(const UnixAddress& address,
                                                   const UnixListenOptions& options = {}) noexcept;

    /// Suspends: until a connection has come.
    /// Errors:   as TcpListener::accept().
    [[nodiscard]] Result<UnixStream> accept(Deadline deadline) noexcept;
    /// The same, and the other end's name; most have none.
    [[nodiscard]] Result<Accepted> accept_from(Deadline deadline) noexcept;
    /// A connection that is waiting already; resource_unavailable_try_again if there is none.
    [[nodiscard]] Result<UnixStream> try_accept() noexcept;

    /// Refuses new connections and wakes accept() with operation_canceled. Those in the queue end with
    /// the destructor. Threads: any, while *this lives.
    void close() noexcept;
    /// Wakes accept() with operation_canceled but leaves the queue: try_accept() can empty it before
    /// close(). Threads: any, while *this lives.
    void cancel() noexcept { source_.cancel(); }

    [[nodiscard]] Result<UnixAddress> local_address() const noexcept;
    [[nodiscard]] bool is_open() const noexcept {
        return source_.is_open() && !source_.is_canceled();
    }
    [[nodiscard]] int native_handle() const noexcept { return source_.fd(); }

private:
    friend struct detail::SocketAccess;

    UnixListener(UniqueFd socket, detail::SocketFile file) noexcept
        : source_(std::move(socket)), file_(std::move(file)) {}

    IoSource source_;
    detail::SocketFile file_;  // goes first: see there
};

}  // namespace coir::net
