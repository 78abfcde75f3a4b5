#pragma once

#include <memory>
#include <string_view>
#include <system_error>

#include "coir/net/tcp_stream.hpp"
#include "connection_registry.hpp"
#include "response_writer.hpp"
#include "server_core.hpp"

namespace coir::http {

/// One client's life: read, parse, route, handle, write, until one side has had enough.
///
/// It lies in its fiber's frame. While it waits for a request it holds no buffers; they come with the
/// exchange that is lent to it as soon as bytes can be read.
class Connection final {
public:
    Connection(net::TcpStream stream, ServerCore& server) noexcept;

    /// Returns when the connection is over. Whatever happens, it stays in here.
    void run() noexcept;

private:
    enum class Next {
        wait,    // the request is not complete, or nothing has come
        idle,    // all has been answered
        close,   // after what has been said
        linger,  // as close, but the client is still sending: let it hear the reply
        abort,   // the client must not take what it has got for a whole
    };

    [[nodiscard]] bool wait_for_request() noexcept;
    [[nodiscard]] Next serve(Exchange& exchange, Deadline first_byte);
    [[nodiscard]] Next serve_arrived(Exchange& exchange);
    [[nodiscard]] Next answer(Exchange& exchange);
    [[nodiscard]] Next answer_without_handler(Exchange& exchange, MethodSet allowed);
    [[nodiscard]] bool run_handler(Exchange& exchange, const Handler& handler);
    [[nodiscard]] Next finish_response(Exchange& exchange);
    [[nodiscard]] Next refuse(Exchange& exchange, std::error_code error);
    [[nodiscard]] Next give_up(Exchange& exchange, std::error_code error);
    [[nodiscard]] response_writer::Context context_for(Exchange& exchange) const noexcept;
    void linger() noexcept;

    net::TcpStream stream_;
    ServerCore& server_;
    ConnectionRegistry::Entry entry_;
};

}  // namespace coir::http
