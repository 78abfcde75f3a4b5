#include "connection.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "coir/base/error.hpp"
#include "coir/base/syscall.hpp"
#include "coir/http/upgraded_stream.hpp"
#include "farewell.hpp"

namespace coir::http {
namespace {

using response_writer::Context;

// Room that a read has at least, in bytes: less would cost extra reads for long heads.
constexpr std::size_t kLeastRead = 4 * 1024;

constexpr std::uint64_t kMostRequests = (std::uint64_t{1} << 62) - 1;

std::uint64_t allowed_requests(const ServerOptions& options) noexcept {
    return options.max_requests_per_connection == 0
               ? kMostRequests
               : std::min<std::uint64_t>(options.max_requests_per_connection, kMostRequests);
}

std::string list_of(MethodSet methods) {
    std::string list;
    for (std::size_t i = 0; i < kMethodCount; ++i) {
        const auto method = static_cast<Method>(i);
        if (methods.contains(method)) {
            list.append(list.empty() ? "" : ", ").append(as_text(method));
        }
    }
    return list;
}

// Room to read into; none without memory.
std::span<std::byte> room_in(Buffer& in) noexcept {
    try {
        return in.prepare(kLeastRead);
    } catch (...) {
        return {};
    }
}

// Whether the handler has left the answer to the engine, and not for the body's sake.
bool is_silent(const Exchange& exchange) noexcept {
    return !exchange.response.is_touched() && !exchange.sink.has_started() &&
           !exchange.source.error();
}

}  // namespace

struct Connection::Leaving {
    LingerPlace place;
    Farewell farewell;
};

Connection::Connection(net::TcpStream stream, OpenConnection open) noexcept
    : open_(std::move(open)),
      stream_(std::move(stream)),
      requests_left_(allowed_requests(server().options) & kMostRequests),
      wait_end_(Deadline::roughly_after(server().options.header_timeout)),
      entry_(server().connections, stream_, ServerCore::worker_index()) {}

Connection::~Connection() = default;

NextTurn Connection::turn(Result<void> waited) noexcept {
    if (is_leaving_) [[unlikely]] {
        return waited ? go_on_with_farewell() : NextTurn::none();
    }
    handlers_ = &TimeLimit::current();
    // When time is over, or the server stops, a request may have come in the same moment.
    bool is_over = !waited;
    for (;;) {
        const Next next = serve_with_exchange();
        const bool is_closing = server().connections.is_closing();
        if (next == Next::idle) {
            wait_end_ = Deadline::roughly_after(server().options.idle_timeout);
        } else if (next != Next::nothing || is_over || is_closing) {
            return end(next);
        }
        if (!is_closing) [[likely]] {
            // A stop from now on wakes us. After a wake for nothing (urgent data) the time goes on.
            return stream_.when_readable(wait_end_);
        }
        is_over = true;
    }
}

[[gnu::always_inline]] inline Connection::Next Connection::serve_with_exchange() noexcept {
    Next next = Next::abort;
    std::unique_ptr<Exchange> exchange;
    try {
        exchange = server().here().exchanges.take();
        exchange->attach(stream_, server().server_line);
        // The exchange has served others before, and this connection has just waited its turn: to give way
        // once more would cost it a second one, with buffers in hand.
        if (!is_flooded_) {
            exchange->wire.has_given_way();
        }
        next = serve(*exchange);
    } catch (...) {
        next = exchange ? fail_without_memory(*exchange) : refuse_without_memory();
    }
    if (next == Next::upgrade) [[unlikely]] {
        return run_hook(std::move(exchange));
    }
    if (exchange) {
        if (next != Next::idle) {
            // What a handler has left in it, such as a hook that was dropped, may wait in its
            // destructors. The pool must not see that.
            exchange->response.reset();
            if (exchange->has_timed_out()) {
                server().here().timeouts.add();
            }
        }
        server().here().exchanges.give_back(std::move(exchange),
                                            next == Next::idle || next == Next::nothing);
    }
    return next;
}

NextTurn Connection::end(Next next) noexcept {
    if (next == Next::abort) {
        (void)stream_.set_reset_on_close();
    }
    return next == Next::abort || next == Next::close ? NextTurn::none() : begin_farewell();
}

// Waits for its client as for a request: without a stack.
NextTurn Connection::begin_farewell() noexcept {
    if (auto place = LingerPlace::try_take(server())) {
        try {
            leaving_.reset(new Leaving{*std::move(place), Farewell(server().options)});
            is_leaving_ = stream_.shutdown(net::Shutdown::write).has_value();
        } catch (const std::bad_alloc&) {
            // Then without a wait.
        }
        if (is_leaving_) {
            return go_on_with_farewell();
        }
    }
    (void)finish_at_once(stream_);
    return NextTurn::none();
}

NextTurn Connection::go_on_with_farewell() noexcept {
    const auto until = leaving_->farewell.drop_arrived(stream_);
    return until ? stream_.when_readable(*until) : NextTurn::none();
}

Connection::Next Connection::serve(Exchange& exchange) {
    // The wait was without buffers. If it was for nothing, so is the next one: a crowd of connections
    // that all hold some would be expensive.
    std::optional<Deadline> deadline;
    for (;;) {
        exchange.wire.give_way();
        const auto room = room_in(exchange.in);
        if (room.empty()) [[unlikely]] {
            exchange.context.is_head = false;  // nobody knows
            return refuse(exchange, std::make_error_code(std::errc::not_enough_memory), {});
        }
        const auto read =
            deadline ? stream_.read_some(room, *deadline) : stream_.try_read_some(room);
        if (!read) {
            if (!deadline && syscall::would_block(read.error())) {
                return Next::nothing;
            }
            if (read.error() != std::errc::timed_out) {
                return Next::close;
            }
            server().here().timeouts.add();
            const bool only_empty_lines =
                exchange.in.as_text().find_first_not_of("\r\n") == std::string_view::npos;
            exchange.context.is_head = false;  // nobody knows
            return only_empty_lines ? Next::close : refuse(exchange, read.error(), {});
        }
        if (*read == 0) {
            return Next::close;
        }
        is_flooded_ = *read == room.size();
        exchange.in.commit(*read);
        bool has_answered = false;
        const Next next = serve_arrived(exchange, has_answered);
        if (next != Next::wait) {
            return next;
        }
        // The beginning of a head has come. Its rest has so much time, however it drips.
        if (has_answered || !deadline) {
            deadline = Deadline::roughly_after(server().options.header_timeout);
        }
    }
}

// Answers all that is complete in `in`, and writes once.
Connection::Next Connection::serve_arrived(Exchange& exchange, bool& has_answered) {
    std::uint64_t answered = 0;
    Next next = Next::idle;
    while (next == Next::idle && !exchange.in.empty()) {
        const auto progress = exchange.parser.parse_head(exchange.in.as_text(), exchange.head);
        if (!progress) {
            exchange.context.is_head = false;  // nobody knows
            next = refuse(exchange, progress.error(), {});
        } else if (*progress == RequestParser::Progress::need_more) {
            next = Next::wait;
        } else {
            ++answered;
            try {
                next = answer(exchange);
            } catch (...) {  // no memory; its head, and those before it, count all the same
                server().here().requests.add(answered);
                throw;
            }
            if (exchange.wire.is_over_limit() && next == Next::idle) {
                next = flush(exchange, next);
            }
            if (next == Next::idle && !exchange.in.empty() && exchange.wire.has_answered())
                [[unlikely]] {
                exchange.wire.send_and_give_way();
            }
        }
    }
    has_answered = answered != 0;
    server().here().requests.add(answered);
    return flush(exchange, next);
}

// `next`, once all that has been said is sent; what else, if that cannot be done. An error stays
// with the wire, so that a later call says the same.
Connection::Next Connection::flush(Exchange& exchange, Next next) noexcept {
    if (next == Next::abort) {
        return next;
    }
    // A body whose end is the connection's must not be taken for whole by a client that has been cut.
    const bool looks_whole = exchange.sink.has_started() && exchange.sink.ends_with_connection();
    const auto flushed = exchange.wire.flush(Deadline::never());
    if (flushed) {
        return looks_whole && !stream_.is_open() ? Next::abort : next;
    }
    return flushed.error() == std::errc::timed_out || looks_whole ? Next::abort : Next::close;
}

[[gnu::always_inline]] inline Connection::Next Connection::answer(Exchange& exchange) {
    const RequestHead& head = exchange.head;
    exchange.context.version = head.version;
    exchange.context.keep_alive = head.keep_alive && --requests_left_ != 0;
    exchange.context.is_head = head.method == Method::head;
    exchange.source.begin(head);
    if (!exchange.source.is_complete()) [[unlikely]] {
        return answer_with_body(exchange);
    }
    return answer_as(exchange,
                     server().router.find(head.method, head.path, exchange.request.parameters()));
}

// Apart, so that what only a body needs to know is not kept at hand for those without one.
Connection::Next Connection::answer_with_body(Exchange& exchange) {
    const RequestHead& head = exchange.head;
    const Router::Match match =
        server().router.find(head.method, head.path, exchange.request.parameters());
    const std::uint64_t ours = server().options.max_body_bytes;
    if (!exchange.source.limit(match.endpoint == nullptr
                                   ? ours
                                   : match.endpoint->options.max_body_bytes.value_or(ours))) {
        return refuse(exchange, make_error_code(Errc::body_too_large), head.path);
    }
    return answer_as(exchange, match);
}

[[gnu::always_inline]] inline Connection::Next Connection::answer_as(Exchange& exchange,
                                                                     Router::Match match) {
    exchange.sink.begin();
    if (match.endpoint != nullptr) [[likely]] {
        const Next next = run_handler(exchange, *match.endpoint);
        if (next != Next::idle) {
            return next;
        }
    } else {
        answer_without_handler(exchange, match.allowed);
    }
    const bool keep = exchange.context.keep_alive && !exchange.response.closes_connection();
    exchange.response.reset();
    return finish_request(exchange, keep);
}

// Whether the reply may say that the connection stays.
[[gnu::always_inline]] inline bool Connection::may_keep(const Exchange& exchange) const noexcept {
    if (exchange.is_last_of_a_stop()) [[unlikely]] {
        return false;
    }
    return exchange.context.keep_alive && exchange.source.can_be_drained();
}

void Connection::answer_without_handler(Exchange& exchange, MethodSet allowed) {
    Buffer& out = exchange.wire.out;
    Context& context = exchange.context;
    const bool is_known = !allowed.empty();
    context.keep_alive = may_keep(exchange);
    exchange.date.refresh();
    const bool asks_whole_server = exchange.head.path == "*";
    if (asks_whole_server) {
        allowed = server().router.all_methods();
    }
    allowed.insert(Method::options);  // answered here, where no handler does
    if (asks_whole_server || (is_known && exchange.head.method == Method::options)) {
        exchange.response.status(Status::no_content);
        (void)exchange.response.header("Allow", list_of(allowed));
        (void)response_writer::append_response(out, exchange.response, context);
    } else if (!is_known) {
        response_writer::append_plain(out, Status::not_found, context, {});
    } else {
        response_writer::append_plain(out, Status::method_not_allowed, context,
                                      "Allow: " + list_of(allowed) + "\r\n");
    }
}

// Next::idle: the response is in `out`, and context.keep_alive is what it has said.
[[gnu::always_inline]] inline Connection::Next Connection::run_handler(Exchange& exchange,
                                                                       const Endpoint& endpoint) {
    Response& response = exchange.response;
    BodySource& source = exchange.source;
    handlers_->begin(endpoint.options.handler_timeout.value_or(server().options.handler_timeout));
    try {
        endpoint.handler(exchange.request, response);
    } catch (...) {
        exchange.client.end();
        return handlers_->end() ? time_out_handler(exchange, std::current_exception())
                                : fail_handler(exchange, {}, std::current_exception());
    }
    exchange.client.end();
    if (handlers_->end() && is_silent(exchange)) [[unlikely]] {
        return time_out_handler(exchange, nullptr);
    }
    exchange.date.refresh();
    if (exchange.sink.has_started() || response.is_rare()) [[unlikely]] {
        if (response.is_upgrade()) {
            return switch_protocols(exchange);
        }
        if (exchange.sink.has_started() || response.file_part() != nullptr) {
            return finish_stream(exchange);
        }
    }
    if (source.error() && !response.is_touched()) [[unlikely]] {
        return refuse(exchange, source.error(), exchange.head.path);
    }
    if (response.promised_length() && !exchange.context.is_head &&
        *response.promised_length() != response.body().size()) [[unlikely]] {
        return fail_handler(exchange, make_error_code(Errc::body_length_mismatch), nullptr);
    }
    exchange.context.keep_alive = may_keep(exchange);
    if (response_writer::append_response(exchange.wire.out, response, exchange.context))
        [[unlikely]] {
        const auto body = std::as_bytes(std::span(response.body()));
        if (!exchange.wire.flush_with(body, {}, Deadline::never())) {
            return flush(exchange, Next::close);
        }
    }
    return Next::idle;
}

Connection::Next Connection::finish_stream(Exchange& exchange) {
    const FilePart* const part = exchange.response.file_part();
    const bool is_whole = part != nullptr && !exchange.sink.has_started();
    Result<void> finished = is_whole ? exchange.sink.write_whole(*part) : Result<void>();
    if (finished) {
        finished = exchange.sink.finish();
    }
    if (!finished) {
        return exchange.wire.error() ? flush(exchange, Next::close)
                                     : fail_handler(exchange, finished.error(), nullptr);
    }
    return Next::idle;
}

// The handler has accepted an offer to leave HTTP. The whole request must have been read before,
// and who asked for 100 Continue gets it in any case (RFC 9110, 7.8).
Connection::Next Connection::switch_protocols(Exchange& exchange) {
    BodySource& source = exchange.source;
    if (exchange.sink.has_started()) {
        return fail_handler(exchange, make_error_code(Errc::response_already_started), nullptr);
    }
    if (exchange.head.expects_continue && !source.has_said_continue()) {
        source.forget_continue();
        response_writer::append_continue(exchange.wire.out);
    }
    if (!source.drain()) {
        return refuse(exchange,
                      source.error() ? source.error() : make_error_code(Errc::body_too_large),
                      exchange.head.path);
    }
    exchange.date.refresh();
    exchange.context.keep_alive = true;
    exchange.response.switch_protocols();
    response_writer::append_head(exchange.wire.out, exchange.response, exchange.context,
                                 response_writer::Framing::none, 0);
    source.finish();
    return Next::upgrade;
}

// The connection has left HTTP. While the hook runs it holds no more than what came behind the
// request.
Connection::Next Connection::run_hook(std::unique_ptr<Exchange> exchange) noexcept {
    UpgradeHook hook = exchange->response.take_upgrade();
    exchange->response.reset();  // as in serve_with_exchange()
    UpgradedStream upgraded(stream_, exchange->in.empty() ? Buffer() : std::move(exchange->in),
                            server().stopping.get_token());
    server().here().exchanges.give_back(std::move(exchange), false);
    try {
        hook(upgraded);
        return Next::linger;
    } catch (...) {
        server().here().handler_failures.add();
        server().report({ServerError::Where::handler, {}, std::current_exception(), {}});
        return Next::abort;
    }
}

// The response is made. What is left of the request must go before the next one is parsed.
[[gnu::always_inline]] inline Connection::Next Connection::finish_request(Exchange& exchange,
                                                                          bool keep) noexcept {
    BodySource& source = exchange.source;
    if (!source.is_complete() && (!keep || !source.drain())) [[unlikely]] {
        return Next::linger;
    }
    source.finish();
    if (keep) [[likely]] {
        return Next::idle;
    }
    // Where closing was our idea, the next request may lie unread in the kernel.
    return exchange.in.empty() && !exchange.head.keep_alive ? Next::close : Next::linger;
}

}  // namespace coir::http
