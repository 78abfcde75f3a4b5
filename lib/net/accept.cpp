#include "net/accept.hpp"

#include <cerrno>

#include "coir/base/syscall.hpp"

namespace coir::net::detail {
namespace {

/// Errors that concern one connection, which died in the queue (accept(2), "Error handling").
bool is_about_one_connection(std::error_code error) noexcept {
    return error == std::errc::connection_aborted || error == std::errc::protocol_error ||
           error == std::errc::network_down || error == std::errc::no_protocol_option ||
           error == std::errc::host_unreachable || error == std::errc::network_unreachable ||
           error == std::errc::operation_not_supported ||
           (error.category() == std::system_category() &&
            (error.value() == EHOSTDOWN || error.value() == ENONET));
}

}  // namespace

Result<UniqueFd> try_accept(const IoSource& source, sockaddr_storage& peer,
                            socklen_t& length) noexcept {
    for (;;) {
        auto socket = syscall::accept(source.fd(), peer, length);
        if (socket || !is_about_one_connection(socket.error())) {
            return socket;
        }
    }
}

Result<UniqueFd> accept(IoSource& source, sockaddr_storage& peer, socklen_t& length,
                        Deadline deadline) noexcept {
    for (;;) {
        if (source.must_give_up()) {
            return std::errc::operation_canceled;
        }
        auto socket = try_accept(source, peer, length);
        if (socket) {
            return socket;
        }
        if (!syscall::would_block(socket.error())) {
            return source.is_canceled() ? std::make_error_code(std::errc::operation_canceled)
                                        : socket.error();
        }
        if (auto waited = source.wait_readable(deadline); !waited) {
            return waited.error();
        }
    }
}

}  // namespace coir::net::detail
