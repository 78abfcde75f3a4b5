#include "coir/net/tcp_stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>

#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "coir/base/syscall.hpp"

namespace coir::net {
namespace {

// Enough for a burst of large responses; the kernel takes up to IOV_MAX, 1024.
constexpr std::size_t kMaxPieces = 64;

}  // namespace

Result<TcpStream> TcpStream::connect(const SocketAddress& address, Deadline deadline) noexcept {
    COIR_TRY(UniqueFd socket, syscall::socket(address.family(), SOCK_STREAM, 0));
    const int fd = socket.get();
    TcpStream stream(std::move(socket));
    const auto begun = syscall::connect(fd, address.native(), address.native_size());
    if (!begun) {
        // EINTR too: the attempt goes on in the background.
        if (begun.error() != std::errc::operation_in_progress &&
            begun.error() != std::errc::interrupted) {
            return begun.error();
        }
        // An edge may tell of something else than the end of the attempt: ask the socket.
        for (;;) {
            if (auto waited = stream.source_.wait_writable(deadline); !waited) {
                return waited.error();
            }
            COIR_TRY(const int error, syscall::get_option(fd, SOL_SOCKET, SO_ERROR));
            if (error != 0) {
                return std::error_code(error, std::system_category());
            }
            if (const auto peer = stream.peer_address(); peer) {
                break;
            } else if (peer.error() != std::errc::not_connected) {
                return peer.error();
            }
        }
    }
    return stream;
}

Result<std::size_t> TcpStream::read_some(std::span<std::byte> into, Deadline deadline) noexcept {
    COIR_ASSERT(!into.empty());
    for (;;) {
        if (auto waited = wait_readable(deadline); !waited) {
            return waited.error();
        }
        const auto read = syscall::recv(source_.fd(), into, 0);
        if (source_.is_canceled()) {
            return std::errc::operation_canceled;  // whatever the kernel made of it
        }
        if (read) {
            // A full buffer may have left something, and the end of the stream stays readable.
            may_have_more_ = *read == into.size() || *read == 0;
            return read;
        }
        if (!syscall::would_block(read.error())) {
            return read;
        }
        may_have_more_ = false;
    }
}

Result<void> TcpStream::read_exact(std::span<std::byte> into, Deadline deadline) noexcept {
    while (!into.empty()) {
        COIR_TRY(const std::size_t size, read_some(into, deadline));
        if (size == 0) {
            return Errc::unexpected_eof;
        }
        into = into.subspan(size);
    }
    return {};
}

Result<void> TcpStream::wait_readable(Deadline deadline) noexcept {
    if (may_have_more_) {
        return source_.is_canceled() ? Result<void>(std::errc::operation_canceled) : Result<void>();
    }
    if (auto waited = source_.wait_readable(deadline); !waited) {
        return waited;
    }
    may_have_more_ = true;
    return {};
}

Result<std::size_t> TcpStream::try_write_some(std::span<const std::byte> from) noexcept {
    if (source_.is_canceled()) {
        return std::errc::operation_canceled;
    }
    auto written = syscall::send(source_.fd(), from, 0);
    if (!written && !syscall::would_block(written.error())) {
        return failure(written.error());
    }
    return written;
}

Result<void> TcpStream::write_all(std::span<const std::byte> from, Deadline deadline) noexcept {
    while (!from.empty()) {
        const auto written = try_write_some(from);
        if (written) {
            from = from.subspan(*written);
        } else if (!syscall::would_block(written.error())) {
            return written.error();
        } else if (auto waited = source_.wait_writable(deadline); !waited) {
            return waited;
        }
    }
    return {};
}

Result<void> TcpStream::write_all(std::span<const std::span<const std::byte>> pieces,
                                  Deadline deadline) noexcept {
    std::size_t skip = 0;  // of the first piece
    while (!pieces.empty()) {
        if (source_.is_canceled()) {
            return std::errc::operation_canceled;
        }
        std::array<iovec, kMaxPieces> vectors;
        const std::size_t count = std::min(pieces.size(), kMaxPieces);
        for (std::size_t i = 0; i != count; ++i) {
            const auto piece = pieces[i].subspan(i == 0 ? skip : 0);
            vectors[i] = {const_cast<std::byte*>(piece.data()), piece.size()};
        }
        const auto written = syscall::sendmsg(source_.fd(), {vectors.data(), count}, 0);
        if (!written) {
            if (!syscall::would_block(written.error())) {
                return failure(written.error());
            }
            if (auto waited = source_.wait_writable(deadline); !waited) {
                return waited;
            }
            continue;
        }
        skip += *written;
        while (!pieces.empty() && skip >= pieces.front().size()) {
            skip -= pieces.front().size();
            pieces = pieces.subspan(1);
        }
    }
    return {};
}

Result<void> TcpStream::shutdown(Shutdown how) noexcept {
    switch (how) {
        case Shutdown::read: return syscall::shutdown(source_.fd(), SHUT_RD);
        case Shutdown::write: return syscall::shutdown(source_.fd(), SHUT_WR);
        case Shutdown::both: break;
    }
    return syscall::shutdown(source_.fd(), SHUT_RDWR);
}

void TcpStream::close() noexcept {
    if (source_.is_open()) {
        source_.close();
    }
}

std::error_code TcpStream::failure(std::error_code error) const noexcept {
    return source_.is_canceled() ? std::make_error_code(std::errc::operation_canceled) : error;
}

Result<void> TcpStream::set_no_delay(bool on) noexcept {
    return syscall::set_option(source_.fd(), IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}

Result<void> TcpStream::set_reset_on_close() noexcept {
    return syscall::set_linger(source_.fd(), true, 0);
}

Result<std::size_t> TcpStream::unconfirmed_bytes() const noexcept {
    return syscall::unconfirmed_bytes(source_.fd());
}

Result<SocketAddress> TcpStream::local_address() const noexcept {
    sockaddr_storage address{};
    socklen_t length = 0;
    if (auto found = syscall::local_address(source_.fd(), address, length); !found) {
        return found.error();
    }
    return SocketAddress::from_native(address);
}

Result<SocketAddress> TcpStream::peer_address() const noexcept {
    sockaddr_storage address{};
    socklen_t length = 0;
    if (auto found = syscall::peer_address(source_.fd(), address, length); !found) {
        return found.error();
    }
    return SocketAddress::from_native(address);
}

}  // namespace coir::net
