#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/http/router.hpp"
#include "coir/net/address.hpp"

namespace coir::http {

/// What went wrong, for ServerOptions::on_error. It holds no header values and no bodies.
struct ServerError {
    enum class Where {
        accept,   ///< A connection could not be accepted or started.
        request,  ///< The bytes were no request that this server takes; the client has been told.
        handler,  ///< A handler threw, wrote another length than it had promised, or ran out of
                  ///< time; an upgrade's hook threw.
        connection,  ///< The engine could not go on with a connection: no memory.
    };
    Where where;
    std::error_code error;  // none if it is an exception; timed_out of a handler: out of time
    std::exception_ptr exception;  // null if it is an error, unless thrown when time was over
    std::string_view path;         // of the request, if there is one; valid during the call
};

/// Every limit has a default that a server on the open Internet can live with.
struct ServerOptions {
    /// Request line and header fields together, else 431. What browsers and proxies keep to; a
    /// request that is still arriving holds so much memory. Trailers may take as much again. 65,000 at
    /// most.
    std::size_t max_header_bytes = 16 * 1024;
    /// Header fields, and trailer fields, else 431. Browsers send some 20, proxies add a few.
    std::size_t max_header_fields = 64;
    /// The request target, else 414. RFC 9112 wants 8,000 at least.
    std::size_t max_target_bytes = 8 * 1024;
    /// The request body, else 413; a route may have its own figure (RouteOptions). read_all() keeps so
    /// much in memory for each connection, unless it is told otherwise. nginx has the same figure.
    std::size_t max_body_bytes = 1024 * 1024;
    /// Extensions of all chunks of a request together, in bytes, else 413. They are read and ignored.
    /// Hardly anybody sends them; clients that sign each chunk need some 90 for each, so a server of
    /// theirs that takes larger bodies raises this too.
    std::size_t max_chunk_extension_bytes = 16 * 1024;
    /// Of a body that the handler left unread: read so much to keep the connection, else close it.
    /// Go's net/http has the same figure.
    std::size_t max_drained_bytes = 256 * 1024;
    /// Responses to pipelined requests are collected up to here before they are written. A client
    /// that does not read is waited for, and costs no more than this and one response.
    std::size_t max_output_bytes = 64 * 1024;
    /// Open connections; further ones get 503 and are closed. The descriptor limit may be lower.
    std::size_t max_connections = 100'000;
    /// Open connections from one IPv4 address, or from one IPv6 network of 64 bits; further ones get 503
    /// and are closed. 0 means no limit, for servers behind a proxy that has one. A quarter of all: it
    /// takes four to keep everybody else out, and a load generator on one address is served.
    std::size_t max_connections_per_address = 25'000;
    /// Requests on one connection; the reply to the last says `Connection: close`, and what was sent
    /// behind that request is dropped. 0 means no limit. Nothing piles up with the requests that a
    /// connection has had, but one that is made anew can be given to another worker, or machine; so it
    /// is to be rare enough that nobody feels the reconnect.
    std::uint64_t max_requests_per_connection = 10'000'000;
    /// Connections that linger at once (see linger_timeout), refused ones included, which do not count as
    /// open. Each holds a descriptor, a refused one a stack as well. Those beyond are closed at once, which
    /// may cost their clients the last reply. A server that stops has no such limit.
    std::size_t max_lingering_connections = 4096;

    /// Whether a target "https://..." is taken, else 421. Only where nobody but a proxy that has
    /// ended TLS can connect: such a request would otherwise pass for one that came encrypted.
    bool trusts_https_targets = false;

    // milliseconds::max() means never. None concerns a connection that has left HTTP.

    /// A keep-alive connection that has been answered is closed after this. Longer than the usual
    /// proxies in front (60 s).
    std::chrono::milliseconds idle_timeout{75'000};
    /// From the first byte of a head to its last, never renewed: a client cannot drip. A new connection
    /// has as long for its first byte: who connects has something to ask.
    std::chrono::milliseconds header_timeout{10'000};
    /// How long the server waits for a body, in all, else 408. What comes earns time back, one second
    /// for each `slowest_bytes_per_second`, but never more than this. The handler's own time does not
    /// count. Long enough for a mobile client in a tunnel.
    std::chrono::milliseconds body_timeout{30'000};
    /// The same for responses, from the first wait for the client to its next idle moment, else the
    /// connection is reset: what the client takes earns time back, and a flush does not renew it.
    std::chrono::milliseconds write_timeout{30'000};
    /// Clients below this rate run into the two timeouts above, sooner or later. A bad mobile link has
    /// ten times as much.
    std::size_t slowest_bytes_per_second = 1024;
    /// After the end of a connection that the client would have kept, with a reply or for idleness: how
    /// long to wait for the client to close, and to drop what comes until then. Closing a socket
    /// with unread bytes resets the connection, which destroys the reply on its way. A client that
    /// still sends a body earns time as for `body_timeout`, which is the most that it gets in all.
    std::chrono::milliseconds linger_timeout{2'000};
    /// How long a handler may take, from its first wait on: then its waits (for locks, channels,
    /// sleeps, other sockets, blocking(), ...) end with timed_out, and request.stop_token() is
    /// triggered. If it throws then, or returns without a word, the client gets 503. The time that
    /// it waits for its client does not count and is not cut: that has the timeouts above. Who only
    /// computes cannot be cut. A route may have its own figure (RouteOptions). As long as nginx
    /// waits for what is behind it.
    std::chrono::milliseconds handler_timeout{60'000};

    /// Connections that the kernel holds for each worker until they are accepted.
    int backlog = 4096;
    /// Stack of the fiber that serves a connection's requests; 0 means the runtime's default.
    std::size_t stack_bytes = 0;
    /// Sent as `Server: ...` if not empty, by every reply; handlers cannot. By default the server does
    /// not say what it is.
    std::string server_name;
    /// Called by any worker, at the same time as by others, on the fiber it happened on.
    std::function<void(const ServerError&)> on_error;
};

/// Counters since the server was made, added up over its workers.
struct ServerStats {
    std::uint64_t accepted = 0;          ///< Connections accepted, refused ones included.
    std::uint64_t refused = 0;           ///< Connections closed at once: over a limit.
    std::uint64_t open = 0;              ///< Connections now.
    std::uint64_t lingering = 0;         ///< Open or refused: only waiting for the client to close.
    std::uint64_t requests = 0;          ///< Heads that were well-formed, whatever the answer.
    std::uint64_t bad_requests = 0;      ///< Requests answered with an error of the engine's own.
    std::uint64_t handler_failures = 0;  ///< Requests whose handler threw or broke its promise.
    std::uint64_t handler_timeouts =
        0;                       ///< Requests unanswered when their handler's time was over.
    std::uint64_t timeouts = 0;  ///< Connections closed for a client's slowness, not for idleness.
    std::uint64_t accept_errors = 0;  ///< accept() that failed, as at the descriptor limit.
};

/// Serves HTTP/1.1 and HTTP/1.0. A connection has a fiber while it is served, and handlers run on that.
///
///     coir::run({}, [] {
///         coir::http::Server server(make_router());
///         server.listen(coir::net::SocketAddress::any(8080)).value();
///         server.serve();
///     });
///
/// Each worker has a listener of its own on the same port, and the kernel spreads connections over
/// them. An idle connection holds neither a stack nor buffers.
class Server final {
public:
    /// Throws std::invalid_argument if server_name has a control character, such as CR or LF.
    explicit Server(Router router, ServerOptions options = {});
    /// Requires: serve() has returned, or was never called.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Opens the port; clients can connect from now on, and wait for serve(). May be called several
    /// times, for several addresses. Returns the address with the port that the kernel has chosen
    /// for port 0.
    ///
    /// Errors: address_in_use, also where the port is shared by SO_REUSEPORT, permission_denied,
    ///         not_a_fiber outside a runtime.
    /// Requires: serve() has not been called.
    [[nodiscard]] Result<net::SocketAddress> listen(const net::SocketAddress& address);

    /// Accepts and serves until stop(), then until the last connection has ended.
    ///
    /// Suspends: all the time. If its fiber is asked to stop, it does as after a stop() without
    ///           patience, as soon as a worker runs it; stop() itself does not wait for a worker.
    /// Errors:   throws std::bad_alloc or std::system_error if it cannot start.
    /// Requires: called on a fiber, once.
    void serve();

    /// Stops accepting, serves what is in the accept queues, finishes idle connections at once, lets
    /// begun requests be answered with `Connection: close`, and cuts what is left at `deadline`: its
    /// reads and writes fail then, and a body that its client could take for whole ends with a reset. A
    /// handler that waits for something else, until its own time is over, or computes, cannot be cut:
    /// serve() waits for it beyond the deadline. Connections that have left HTTP are told by
    /// UpgradedStream::stop_token(). Does not wait for all that: serve() returns when it is done. A later
    /// call can only move the deadline forward.
    ///
    /// Suspends: for moments, for the server's lock. So it is not for callbacks of Request::stop_token(),
    ///           which can ask serve()'s fiber to stop.
    /// Threads:  any, while *this lives.
    void stop(Deadline deadline) noexcept;

    /// Suspends: for moments, as stop(). Threads: any.
    [[nodiscard]] ServerStats stats() const noexcept;

private:
    class Core;
    std::unique_ptr<Core> core_;
};

}  // namespace coir::http
