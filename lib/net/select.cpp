#include "coir/net/select.hpp"

#include "coir/base/socket_calls.hpp"

namespace coir::net::detail {

bool SocketArmBase::try_now() {
    if (edge_.try_now()) {
        edge_.finish();  // hands its outcome over
        return true;
    }
    outcome_ = {};
    return direction_ == Direction::reading ? syscall::is_readable(source_.fd())
                                            : syscall::is_writable(source_.fd());
}

}  // namespace coir::net::detail
