#include "coir/net/unix_listener.hpp"

#include "coir/base/syscall.hpp"
#include "net/accept.hpp"
#include "net/unix_names.hpp"

namespace coir::net {

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
    file_ = std::move(other.file_);
    source_ = std::move(other.source_);
    return *this;
}

Result<UnixListener> UnixListener::bind(const UnixAddress& address,
                                        const UnixListenOptions& options) noexcept {
    COIR_TRY(UniqueFd socket, syscall::socket(AF_UNIX, SOCK_STREAM, 0));
    COIR_TRY(detail::SocketFile file,
             detail::SocketFile::bind(socket.get(), SOCK_STREAM, address, options.file));
    if (auto done = syscall::listen(socket.get(), options.backlog); !done) {
        return done.error();
    }
    return UnixListener(std::move(socket), std::move(file));
}

Result<UnixStream> UnixListener::try_accept() noexcept {
    sockaddr_storage peer;
    socklen_t size = 0;
    COIR_TRY(UniqueFd socket, detail::try_accept(source_, peer, size));
    return UnixStream(std::move(socket));
}

Result<UnixStream> UnixListener::accept(Deadline deadline) noexcept {
    sockaddr_storage peer;
    socklen_t size = 0;
    COIR_TRY(UniqueFd socket, detail::accept(source_, peer, size, deadline));
    return UnixStream(std::move(socket));
}

Result<UnixListener::Accepted> UnixListener::accept_from(Deadline deadline) noexcept {
    sockaddr_storage peer;
    socklen_t size = 0;
    COIR_TRY(UniqueFd socket, detail::accept(source_, peer, size, deadline));
    return Accepted{UnixStream(std::move(socket)), UnixAddress::from_native(peer, size)};
}

void UnixListener::close() noexcept {
    if (source_.is_open()) {
        source_.close();
    }
}

Result<UnixAddress> UnixListener::local_address() const noexcept {
    return detail::local_unix_address(source_.fd());
}

}  // namespace coir::net
