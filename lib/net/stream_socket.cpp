#include "coir/net/stream_socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "coir/runtime/session.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/socket_options.hpp"

namespace coir::net {
namespace {

// Enough for a burst of large responses; the kernel takes up to IOV_MAX, 1024.
constexpr std::size_t kMaxPieces = 64;

// A fast reader never lets the socket's buffer fill: whoever sends to it gives way after so much,
// about 0.1 ms.
constexpr std::size_t kFileTurnBytes = std::size_t{1} << 20;

}  // namespace

Result<std::size_t> StreamSocket::read_some(std::span<std::byte> into, Deadline deadline) noexcept {
    for (;;) {
        if (auto waited = wait_readable(deadline); !waited) {
            return waited.error();
        }
        const auto read = try_read_some(into);
        if (read || !syscall::would_block(read.error())) {
            return read;
        }
    }
}

Result<std::size_t> StreamSocket::try_read_some(std::span<std::byte> into) noexcept {
    COIR_ASSERT(!into.empty());
    const auto read = syscall::recv(source_.fd(), into, 0);
    if (source_.is_canceled()) {
        return std::errc::operation_canceled;  // whatever the kernel made of it
    }
    if (read) {
        // A full buffer may have left something, and the end of the stream stays readable.
        may_have_more_ = *read == into.size() || *read == 0 || reads_stop_early_ ||
                         source_.has_met_urgent_data();
    } else if (syscall::would_block(read.error())) {
        may_have_more_ = false;
    }
    return read;
}

Result<void> StreamSocket::read_exact(std::span<std::byte> into, Deadline deadline) noexcept {
    std::size_t read;
    return read_exact(into, read, deadline);
}

Result<void> StreamSocket::read_exact(std::span<std::byte> into, std::size_t& read,
                                      Deadline deadline) noexcept {
    read = 0;
    while (read != into.size()) {
        COIR_TRY(const std::size_t size, read_some(into.subspan(read), deadline));
        if (size == 0) {
            return Errc::unexpected_eof;
        }
        read += size;
    }
    return {};
}

Result<std::size_t> StreamSocket::peek(std::span<std::byte> into, Deadline deadline) noexcept {
    COIR_ASSERT(!into.empty());
    for (;;) {
        if (auto waited = wait_readable(deadline); !waited) {
            return waited.error();
        }
        const auto read = syscall::recv(source_.fd(), into, MSG_PEEK);
        if (source_.is_canceled()) {
            return std::errc::operation_canceled;
        }
        if (read || !syscall::would_block(read.error())) {
            return read;  // what it saw is still there: may_have_more_ stays
        }
        may_have_more_ = false;
    }
}

Result<void> StreamSocket::wait_readable(Deadline deadline) noexcept {
    if (may_have_more_) {
        return source_.must_give_up() ? Result<void>(std::errc::operation_canceled)
                                      : Result<void>();
    }
    if (auto waited = source_.wait_readable(deadline); !waited) {
        return waited;
    }
    may_have_more_ = true;
    return {};
}

NextTurn StreamSocket::when_readable(Deadline deadline) noexcept {
    // As wait_readable() does when it has waited; nobody reads before that.
    return std::exchange(may_have_more_, true) ? NextTurn::at_once(source_)
                                               : NextTurn::when_readable(source_, deadline);
}

Result<std::size_t> StreamSocket::try_write_some(std::span<const std::byte> from) noexcept {
    if (source_.is_canceled()) {
        return std::errc::operation_canceled;
    }
    auto written = syscall::send(source_.fd(), from, 0);
    if (!written && !syscall::would_block(written.error())) {
        return failure(written.error());
    }
    return written;
}

Result<void> StreamSocket::write_all(std::span<const std::byte> from, Deadline deadline) noexcept {
    if (!from.empty() && source_.must_give_up()) {
        return std::errc::operation_canceled;
    }
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

Result<void> StreamSocket::write_all(std::span<const std::byte> from, std::size_t& written,
                                     Deadline deadline) noexcept {
    written = 0;
    while (written != from.size()) {
        COIR_TRY(const std::size_t size, write_some(from.subspan(written), deadline));
        written += size;
    }
    return {};
}

Result<std::size_t> StreamSocket::write_some(std::span<const std::byte> from,
                                             Deadline deadline) noexcept {
    COIR_ASSERT(!from.empty());
    return source_.when_writable(deadline, [&] { return try_write_some(from); });
}

Result<void> StreamSocket::write_all(std::span<const std::span<const std::byte>> pieces,
                                     std::size_t& written, Deadline deadline) noexcept {
    written = 0;
    std::size_t skip = 0;  // of the first piece
    while (!pieces.empty()) {
        if (source_.must_give_up()) {
            return std::errc::operation_canceled;
        }
        std::array<iovec, kMaxPieces> vectors;
        const std::size_t count = std::min(pieces.size(), kMaxPieces);
        for (std::size_t i = 0; i != count; ++i) {
            const auto piece = pieces[i].subspan(i == 0 ? skip : 0);
            vectors[i] = {const_cast<std::byte*>(piece.data()), piece.size()};
        }
        const auto taken = syscall::sendmsg(source_.fd(), {vectors.data(), count}, 0);
        if (!taken) {
            if (!syscall::would_block(taken.error())) {
                return failure(taken.error());
            }
            if (auto waited = source_.wait_writable(deadline); !waited) {
                return waited;
            }
            continue;
        }
        written += *taken;
        skip += *taken;
        while (!pieces.empty() && skip >= pieces.front().size()) {
            skip -= pieces.front().size();
            pieces = pieces.subspan(1);
        }
    }
    return {};
}

Result<void> StreamSocket::send_file(int file, std::uint64_t offset, std::size_t count,
                                     std::size_t& sent, Deadline deadline) noexcept {
    sent = 0;
    std::size_t turn = 0;
    while (sent != count) {
        if (source_.must_give_up()) {
            return std::errc::operation_canceled;
        }
        const std::size_t size = std::min(count - sent, kFileTurnBytes - turn);
        const auto taken = syscall::send_file(source_.fd(), file, offset + sent, size);
        if (taken) {
            if (*taken == 0) {
                return Errc::unexpected_eof;
            }
            sent += *taken;
            turn += *taken;
            if (turn == kFileTurnBytes) {
                turn = 0;
                this_fiber::yield();
            }
        } else if (!syscall::would_block(taken.error())) {
            return failure(taken.error());
        } else if (auto waited = source_.wait_writable(deadline); !waited) {
            return waited;
        } else {
            turn = 0;
        }
    }
    return {};
}

Result<void> StreamSocket::shutdown(Shutdown how) noexcept {
    switch (how) {
        case Shutdown::read: return syscall::shutdown(source_.fd(), SHUT_RD);
        case Shutdown::write: return syscall::shutdown(source_.fd(), SHUT_WR);
        case Shutdown::both: break;
    }
    return syscall::shutdown(source_.fd(), SHUT_RDWR);
}

void StreamSocket::close() noexcept {
    if (source_.is_open()) {
        source_.close();
    }
}

std::error_code StreamSocket::failure(std::error_code error) const noexcept {
    return source_.is_canceled() ? std::make_error_code(std::errc::operation_canceled) : error;
}

Result<void> StreamSocket::set_send_buffer_bytes(int bytes) noexcept {
    return syscall::set_option(source_.fd(), SOL_SOCKET, SO_SNDBUF, bytes);
}

Result<void> StreamSocket::set_receive_buffer_bytes(int bytes) noexcept {
    return syscall::set_option(source_.fd(), SOL_SOCKET, SO_RCVBUF, bytes);
}

Result<int> StreamSocket::send_buffer_bytes() const noexcept {
    return syscall::get_option(source_.fd(), SOL_SOCKET, SO_SNDBUF);
}

Result<int> StreamSocket::receive_buffer_bytes() const noexcept {
    return syscall::get_option(source_.fd(), SOL_SOCKET, SO_RCVBUF);
}

std::error_code StreamSocket::take_error() noexcept {
    return detail::take_socket_error(source_.fd());
}

}  // namespace coir::net
