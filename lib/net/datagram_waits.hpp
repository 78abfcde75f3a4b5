#pragma once

#include "coir/base/syscall.hpp"
#include "coir/net/datagram_socket.hpp"

// The bodies of DatagramSocket's waits, for the sources of the sockets that are made of it.
namespace coir::net {

// There is no short read by which one could know that the queue is empty: each call asks the kernel
// first and waits only if it says so.
template <typename Call>
Result<std::size_t> DatagramSocket::when_readable(Deadline deadline, Call call) noexcept {
    for (;;) {
        if (source_.must_give_up()) {
            return std::errc::operation_canceled;
        }
        Result<std::size_t> done = call();
        if (source_.is_canceled()) {
            return std::errc::operation_canceled;  // whatever the kernel made of it
        }
        if (done || !syscall::would_block(done.error())) {
            return done;
        }
        if (auto waited = source_.wait_readable(deadline); !waited) {
            return waited.error();
        }
    }
}

template <typename Call>
Result<std::size_t> DatagramSocket::when_writable(Deadline deadline, Call call) noexcept {
    for (;;) {
        if (source_.must_give_up()) {
            return std::errc::operation_canceled;
        }
        Result<std::size_t> done = call();
        if (done) {
            return done;
        }
        if (!syscall::would_block(done.error())) {
            return source_.is_canceled() ? std::make_error_code(std::errc::operation_canceled)
                                         : done.error();
        }
        if (auto waited = source_.wait_writable(deadline); !waited) {
            return waited.error();
        }
    }
}

}  // namespace coir::net
