#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>
#include <system_error>

#include "coir/net/tcp_stream.hpp"
#include "coir/runtime/session.hpp"
#include "coir/runtime/time_limit.hpp"
#include "connection_registry.hpp"
#include "response_writer.hpp"
#include "server_core.hpp"

namespace coir::http {

/// One client's life, a session: read, parse, route, handle, write, until one side has had enough.
///
/// While it waits for a request it holds neither a stack nor buffers; those come with the exchange that is
/// lent to it as soon as bytes can be read.
class Connection final {
public:
    Connection(net::TcpStream stream, OpenConnection open) noexcept;
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// All that can be done until the next request has to be waited for. Whatever happens, it stays in here.
    [[nodiscard]] NextTurn turn(Result<void> waited) noexcept;

private:
    enum class Next {
        wait,     // a request has begun and is not complete
        idle,     // all has been answered
        nothing,  // as idle, for nothing has come
        close,    // after what has been said
        linger,   // as close, but the client may still be sending: let it hear the reply
        abort,    // the client must not take what it has got for a whole
        upgrade,  // the connection is the hook's once all has been said
    };

    [[nodiscard]] Next serve_with_exchange() noexcept;
    [[nodiscard]] Next serve(Exchange& exchange);
    [[nodiscard]] Next serve_arrived(Exchange& exchange, bool& has_answered);
    [[nodiscard]] Next answer(Exchange& exchange);
    [[nodiscard, gnu::noinline]] Next answer_with_body(Exchange& exchange);
    [[nodiscard]] Next answer_as(Exchange& exchange, Router::Match match);
    void answer_without_handler(Exchange& exchange, MethodSet allowed);
    [[nodiscard]] Next run_handler(Exchange& exchange, const Endpoint& endpoint);
    [[nodiscard]] Next finish_stream(Exchange& exchange);
    [[nodiscard, gnu::noinline]] Next switch_protocols(Exchange& exchange);
    [[nodiscard, gnu::noinline]] Next run_hook(std::unique_ptr<Exchange> exchange) noexcept;
    [[nodiscard]] Next finish_request(Exchange& exchange, bool keep) noexcept;
    [[nodiscard]] Next fail_handler(Exchange& exchange, std::error_code error,
                                    std::exception_ptr exception);
    [[nodiscard, gnu::noinline]] Next time_out_handler(Exchange& exchange,
                                                       std::exception_ptr exception);
    /// Instead of its response, or in its middle.
    [[nodiscard]] Next end_response(Exchange& exchange, Status status);
    [[nodiscard]] Next refuse(Exchange& exchange, std::error_code error, std::string_view path);
    // Not in the frame of an idle connection.
    [[nodiscard, gnu::noinline]] Next fail_without_memory(Exchange& exchange) noexcept;
    [[nodiscard, gnu::noinline]] Next refuse_without_memory() noexcept;
    [[nodiscard, gnu::noinline]] Next say_without_memory(Exchange& exchange) noexcept;
    [[nodiscard]] Next reply_and_linger(Exchange& exchange, Status status);
    [[nodiscard]] NextTurn end(Next next) noexcept;
    [[nodiscard]] NextTurn begin_farewell() noexcept;
    [[nodiscard]] NextTurn go_on_with_farewell() noexcept;
    [[nodiscard]] Next flush(Exchange& exchange, Next next) noexcept;
    [[nodiscard]] bool may_keep(const Exchange& exchange) const noexcept;

    [[nodiscard]] ServerCore& server() const noexcept { return open_.core(); }

    // The first: the server may die as soon as the last connection has left it. What each request touches comes next, up
    // to the end of a cache line.
    const OpenConnection open_;
    net::TcpStream stream_;
    std::uint64_t requests_left_ : 62;  // until the connection closes
    bool is_flooded_ : 1 = false;       // the last read was full: the next wait may be none
    bool is_leaving_ : 1 = false;       // the last word has been said
    Deadline wait_end_;                 // of the wait for the next request
    TimeLimit* handlers_ = nullptr;     // how long they may take; of the turn's fiber
    ConnectionRegistry::Entry entry_;
    struct Leaving;
    std::unique_ptr<Leaving> leaving_;
};

}  // namespace coir::http
