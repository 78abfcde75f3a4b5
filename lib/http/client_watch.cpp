#include "client_watch.hpp"

#include "coir/net/socket_access.hpp"
#include "coir/runtime/time_limit.hpp"

namespace coir::http {

std::stop_token ClientWatch::token() {
    if (!gone_) {
        std::stop_source gone;
        net::detail::SocketAccess::source(*stream_).stop_on_hang_up(gone).value();
        gone_ = gone;
        try {
            TimeLimit::current().stop_at_end(gone);
        } catch (...) {
            forget();
            throw;
        }
    }
    return gone_->get_token();
}

void ClientWatch::forget() noexcept {
    net::detail::SocketAccess::source(*stream_).forget_hang_up();
    gone_.reset();
}

}  // namespace coir::http
