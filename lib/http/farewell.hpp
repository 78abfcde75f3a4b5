#pragma once

#include "coir/base/deadline.hpp"
#include "coir/net/tcp_stream.hpp"

namespace coir::http {

/// Ends a connection so that the client hears what has been said last: finishes sending, and drops what
/// still comes until the client has finished too, or until `deadline`. For closing a socket with unread
/// bytes resets the connection, and a reset can overtake the reply.
/// Suspends: until then.
// Never inlined: its buffer would lie in the frame of every idle connection.
[[gnu::noinline]] void linger(net::TcpStream& stream, Deadline deadline) noexcept;

/// A stop wakes idle connections by shutting their reading down. Once we have finished too, the kernel
/// answers whatever the client still sends with a reset, and drops what it has not sent yet.
/// Suspends: until it has sent everything, or until `deadline`.
void wait_until_sent(net::TcpStream& stream, Deadline deadline) noexcept;

}  // namespace coir::http
