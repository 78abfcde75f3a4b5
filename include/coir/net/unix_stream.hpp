#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/net/passed_fds.hpp"
#include "coir/net/split.hpp"
#include "coir/net/stream_socket.hpp"
#include "coir/net/unix_address.hpp"

namespace coir::net {

/// A connected Unix stream socket. Reads, writes, close() and their contract: see StreamSocket.
///
/// Descriptors that a peer passes and nobody asked for with receive_fds() are never opened here.
class UnixStream final : public StreamSocket {
public:
    UnixStream() noexcept = default;
    /// Requires: a connected, non-blocking socket.
    explicit UnixStream(UniqueFd socket) noexcept
        : StreamSocket(std::move(socket), ShortRead::means_nothing) {}

    /// Suspends: while the listener's queue is full; looks again every 16 ms at the latest.
    /// Errors:   timed_out, operation_canceled, connection_refused, no_such_file_or_directory,
    ///           permission_denied.
    [[nodiscard]] static Result<UnixStream> connect(const UnixAddress& address,
                                                    Deadline deadline) noexcept;
    /// Two ends of one connection. Never suspends.
    [[nodiscard]] static Result<std::pair<UnixStream, UnixStream>> pair() noexcept;

    /// A reading and a writing half, for two fibers; reunite() makes one stream of them again.
    /// Errors:   std::bad_alloc; the stream is whole then.
    /// Requires: is_open().
    /// Cost:     one allocation; no second descriptor.
    [[nodiscard]] Halves<UnixStream> split() &&;

    /// Writes at least one byte, and passes copies of `fds` along with the first. Returns how many
    /// bytes have been taken; the rest is left to write_all().
    ///
    /// A copy shares the open file with the original: its position, and whether it blocks.
    /// Suspends: while the socket's buffer is full.
    /// Errors:   as write_some(); invalid_argument for more than kMaxPassedFds, bad_file_descriptor,
    ///           ETOOMANYREFS for too many in flight. Nothing was sent then.
    /// Requires: `bytes` is not empty.
    [[nodiscard]] Result<std::size_t> send_fds(std::span<const std::byte> bytes,
                                               std::span<const int> fds,
                                               Deadline deadline) noexcept;
    /// As read_some(), and takes descriptors that were passed with these bytes into the front of `fds`,
    /// marked close-on-exec. Those for which there is no room are closed, and that is reported.
    ///
    /// One read ends where the next message with descriptors begins, so they can be told apart.
    /// A peer can pass anything: look at it before you rely on it.
    [[nodiscard]] Result<ReceivedFds> receive_fds(std::span<std::byte> into,
                                                  std::span<UniqueFd> fds,
                                                  Deadline deadline) noexcept;

    [[nodiscard]] Result<PeerCredentials> peer_credentials() const noexcept;
    [[nodiscard]] Result<UnixAddress> local_address() const noexcept;
    [[nodiscard]] Result<UnixAddress> peer_address() const noexcept;
};

}  // namespace coir::net
