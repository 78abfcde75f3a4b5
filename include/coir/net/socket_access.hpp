#pragma once

#include "coir/runtime/io_source.hpp"

namespace coir::net::detail {

/// What select() needs of a socket.
struct SocketAccess {
    template <typename Socket>
    [[nodiscard]] static IoSource& source(Socket& socket) noexcept {
        return socket.source_;
    }
    template <typename Half>
    [[nodiscard]] static auto& stream(Half& half) noexcept {
        return *half.stream_;
    }
    /// The edge that told of bytes has been used up: the next read is not to wait for another.
    template <typename Socket>
    static void expect_bytes(Socket& socket) noexcept {
        if constexpr (requires { socket.may_have_more_; }) {
            socket.may_have_more_ = true;
        }
    }
};

}  // namespace coir::net::detail
