#pragma once

#include <concepts>
#include <functional>
#include <utility>

#include "coir/net/datagram_socket.hpp"
#include "coir/net/socket_access.hpp"
#include "coir/net/split.hpp"
#include "coir/net/stream_socket.hpp"
#include "coir/net/tcp_listener.hpp"
#include "coir/net/unix_listener.hpp"
#include "coir/runtime/select.hpp"

/// The sockets as arms of coir::select().
namespace coir::net {

namespace detail {

/// Waits for an edge of a socket's source, but asks the kernel first: the last edge may have been used up
/// by a call that left something.
class SocketArmBase : public coir::detail::SelectArm {
public:
    using Direction = coir::detail::IoArmBase::Direction;

    [[nodiscard]] bool try_now() final;
    [[nodiscard]] bool enroll(coir::detail::Selection& selection) final {
        return edge_.enroll(selection);
    }
    [[nodiscard]] bool withdraw() noexcept final { return edge_.withdraw(); }
    void pass_on() noexcept final { edge_.pass_on(); }

protected:
    SocketArmBase(IoSource& source, Direction direction) noexcept
        : source_(source), direction_(direction), edge_(source, direction, KeepOutcome{outcome_}) {}
    ~SocketArmBase() = default;

    [[nodiscard]] Result<void> take_outcome() noexcept {
        return std::exchange(outcome_, Result<void>());
    }

private:
    struct KeepOutcome {
        Result<void>& outcome;
        void operator()(const Result<void>& its) const noexcept { outcome = its; }
    };

    IoSource& source_;
    const Direction direction_;
    Result<void> outcome_;
    coir::detail::IoArm<KeepOutcome> edge_;
};

template <typename Socket, typename Handler>
class SocketArm final : public SocketArmBase {
public:
    SocketArm(Socket& socket, Direction direction, Handler handler)
        : SocketArmBase(SocketAccess::source(socket), direction),
          socket_(socket),
          is_read_(direction == Direction::reading),
          handler_(std::move(handler)) {}

    void finish() override {
        if (is_read_) {
            SocketAccess::expect_bytes(socket_);
        }
        std::invoke(handler_, take_outcome());
    }

private:
    Socket& socket_;
    const bool is_read_;
    Handler handler_;
};

template <typename Socket>
concept Selectable =
    std::derived_from<Socket, StreamSocket> || std::derived_from<Socket, DatagramSocket> ||
    std::same_as<Socket, TcpListener> || std::same_as<Socket, UnixListener>;

}  // namespace detail

/// The arm that is completed when a read, receive() or accept() of `socket` has something to say;
/// `handler(Result<void>)` gets operation_canceled after a close().
///
/// Requires: nobody else reads from the socket meanwhile. Threads: not on a plain thread
///           (Errc::not_a_fiber). Cost: one poll(2) whenever it is tried.
template <detail::Selectable Socket, typename Handler = coir::detail::NoHandler>
[[nodiscard]] auto on_readable(Socket& socket, Handler handler = {}) {
    return detail::SocketArm<Socket, Handler>(socket, detail::SocketArmBase::Direction::reading,
                                              std::move(handler));
}
template <typename Stream, typename Handler = coir::detail::NoHandler>
[[nodiscard]] auto on_readable(ReadHalf<Stream>& half, Handler handler = {}) {
    return on_readable(detail::SocketAccess::stream(half), std::move(handler));
}

/// The same for a write or send().
template <detail::Selectable Socket, typename Handler = coir::detail::NoHandler>
[[nodiscard]] auto on_writable(Socket& socket, Handler handler = {}) {
    return detail::SocketArm<Socket, Handler>(socket, detail::SocketArmBase::Direction::writing,
                                              std::move(handler));
}
template <typename Stream, typename Handler = coir::detail::NoHandler>
[[nodiscard]] auto on_writable(WriteHalf<Stream>& half, Handler handler = {}) {
    return on_writable(detail::SocketAccess::stream(half), std::move(handler));
}

}  // namespace coir::net
