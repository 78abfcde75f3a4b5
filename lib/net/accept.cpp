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
    return source.when_readable(deadline, [&] { return try_accept(source, peer, length); });
}

}  // namespace coir::net::detail
