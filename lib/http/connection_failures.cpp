// What a connection says when a request, a handler or the memory has failed it.

#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "coir/base/error.hpp"
#include "connection.hpp"
#include "error_status.hpp"
#include "exchange.hpp"

namespace coir::http {
namespace {

using response_writer::Context;

// What can be said without memory: so it has no Date, which a 5xx need not have (RFC 9110, 6.6.1).
constexpr std::string_view kNoMemoryHead =
    "HTTP/1.1 500 Internal Server Error\r\n"
    "Connection: close\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 22\r\n"
    "\r\n";
constexpr std::string_view kNoMemoryBody = "Internal Server Error\n";
static_assert(kNoMemoryBody.size() == 22);

}  // namespace

Connection::Next Connection::fail_handler(Exchange& exchange, std::error_code error,
                                          std::exception_ptr exception) {
    server().here().handler_failures.add();
    server().report({ServerError::Where::handler, error, std::move(exception), exchange.head.path});
    return end_response(exchange, Status::internal_server_error);
}

Connection::Next Connection::time_out_handler(Exchange& exchange, std::exception_ptr exception) {
    server().here().handler_timeouts.add();
    server().report({ServerError::Where::handler, std::make_error_code(std::errc::timed_out),
                     std::move(exception), exchange.head.path});
    return end_response(exchange, Status::service_unavailable);
}

Connection::Next Connection::end_response(Exchange& exchange, Status status) {
    if (exchange.sink.has_started() && !exchange.wire.take_back()) {
        // Length or chunks show that the rest is missing. A reset would say so too, but destroy
        // earlier replies that are still on their way.
        return exchange.sink.ends_with_connection() ? Next::abort : flush(exchange, Next::linger);
    }
    return reply_and_linger(exchange, status);
}

Connection::Next Connection::refuse(Exchange& exchange, std::error_code error,
                                    std::string_view path) {
    const Status status = status_for(error);
    if (error == std::errc::not_enough_memory) {
        server().report({ServerError::Where::connection, error, nullptr, path});
    } else if (status == Status::internal_server_error) {
        return Next::close;  // the connection has failed, not the request
    } else {
        server().here().bad_requests.add();
        server().report({ServerError::Where::request, error, nullptr, path});
    }
    return reply_and_linger(exchange, status);
}

Connection::Next Connection::reply_and_linger(Exchange& exchange, Status status) {
    Context context = exchange.context;
    context.keep_alive = false;
    exchange.date.refresh();  // this may have been preceded by a timeout or a slow handler
    try {
        response_writer::append_plain(exchange.wire.out, status, context, {});
    } catch (...) {
        return say_without_memory(exchange);
    }
    return flush(exchange, Next::linger);
}

// There was no memory for an answer: it is left out, or ends where it is if a part has been sent. The
// replies to earlier requests are sent as they are. Out of the loop over requests, which is the faster
// for knowing nothing of it.
Connection::Next Connection::fail_without_memory(Exchange& exchange) noexcept {
    server().report(
        {ServerError::Where::connection, {}, std::current_exception(), exchange.head.path});
    if (exchange.sink.has_started() && !exchange.wire.take_back()) {
        return exchange.sink.ends_with_connection() ? Next::abort : flush(exchange, Next::linger);
    }
    return say_without_memory(exchange);
}

// There was no memory to read a request with.
Connection::Next Connection::refuse_without_memory() noexcept {
    server().report({ServerError::Where::connection, {}, std::current_exception(), {}});
    const std::array pieces = {std::as_bytes(std::span(kNoMemoryHead)),
                               std::as_bytes(std::span(kNoMemoryBody))};
    // So little always has room: nothing is on its way, for the client waits for an answer.
    return stream_.write_all(pieces, Deadline::roughly_after({})) ? Next::linger : Next::close;
}

// A 500 behind what has been collected.
Connection::Next Connection::say_without_memory(Exchange& exchange) noexcept {
    const std::string_view body = exchange.context.is_head ? std::string_view() : kNoMemoryBody;
    (void)exchange.wire.flush_with(std::as_bytes(std::span(kNoMemoryHead)),
                                   std::as_bytes(std::span(body)), Deadline::never());
    return flush(exchange, Next::linger);
}

}  // namespace coir::http
