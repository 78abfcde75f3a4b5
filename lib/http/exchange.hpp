#pragma once

#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "body_sink.hpp"
#include "body_source.hpp"
#include "client_watch.hpp"
#include "coir/base/buffer.hpp"
#include "coir/http/body_reader.hpp"
#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "connection_registry.hpp"
#include "date_cache.hpp"
#include "request_parser.hpp"
#include "wire.hpp"

namespace coir::http {

/// All that serving a request needs and an idle connection does not: buffers, the parser with its
/// table of fields, the request and the response. Lent to a connection while bytes flow.
struct Exchange {
    Exchange(const ServerOptions& options, const ConnectionRegistry& registry);
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    /// Lends it to the connection of `stream`. `server_line` outlives the exchange.
    void attach(net::TcpStream& stream, std::string_view server_line) noexcept {
        wire.attach(stream);
        client.attach(stream);
        context.fields = server_line;
    }
    /// Whether the client did not send a body or take a response in time.
    [[nodiscard]] bool has_timed_out() const noexcept {
        return source.error() == std::errc::timed_out || wire.error() == std::errc::timed_out;
    }
    /// Whether the server is stopping and this is, as far as one can see, the last request that the
    /// client has sent: its reply says that the connection closes.
    [[nodiscard]] bool is_last_of_a_stop() const noexcept {
        return connections.is_closing() && !has_another();
    }
    /// Forgets one connection. The next one finds it as new, but with memory.
    void reset() noexcept;

    const ConnectionRegistry& connections;
    Buffer in;
    Wire wire;
    RequestParser parser;
    RequestHead head;
    BodySource source;
    BodyReader body;
    ClientWatch client;
    Request request;
    Response response;
    DateCache date;
    response_writer::Context context;  // its date_line is date.line(), for good
    BodySink sink;

private:
    /// Whether bytes of another request lie behind the one that is being answered.
    [[nodiscard]] bool has_another() const noexcept {
        return !head.chunked && in.size() > parser.head_bytes() + head.content_length.value_or(0);
    }
};

/// The exchanges that are not lent, the warm one on top: one pool per worker.
///
/// Threads: worker-private. Suspension ends the right to use it: ask for the worker's pool again.
class ExchangePool final {
public:
    ExchangePool(const ServerOptions& options, const ConnectionRegistry& connections);

    /// Throws std::bad_alloc.
    [[nodiscard]] std::unique_ptr<Exchange> take();
    /// `is_clean`: all that came has been answered, so there is nothing to forget.
    // Inline: each wake of a connection comes here, and each upgrade.
    void give_back(std::unique_ptr<Exchange> exchange, bool is_clean) noexcept {
        if (free_.size() < kKeptExchanges) {
            if (!is_clean || exchange->source.has_grown()) [[unlikely]] {
                exchange->reset();
            }
            free_.push_back(std::move(exchange));
        }
    }

private:
    // Handlers that do not suspend need one exchange per worker; the others come and go.
    static constexpr std::size_t kKeptExchanges = 16;

    const ServerOptions& options_;
    const ConnectionRegistry& connections_;
    std::vector<std::unique_ptr<Exchange>> free_;  // never reallocates
};

}  // namespace coir::http
