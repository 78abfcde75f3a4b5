// coir-floor-strict: what a request costs on coir-floor's loop if HTTP is coir's: its parser, bodies, router, the
// server's handlers, Date and response heads.
//
// It divides what coir-server costs above coir-floor: up to here it is HTTP, read and written as a server must; from
// here on it is what makes a server of it, fibers and their scheduler, timeouts, limits of connections, the ends of
// all of them. It parses as strictly as coir-server. What the load does not send it ends without an answer: refusals, no
// route, a body that no handler reads, one of more than 16 KiB in pieces; and it says no 100 Continue.
// A body is not streamed but waited for, so the chunks of one are decoded twice, first to see that all are there.

#include <cstddef>
#include <span>
#include <string_view>

#include "epoll_loop.hpp"
#include "http/chunk_decoder.hpp"
#include "http/exchange.hpp"
#include "routes.hpp"

namespace {

using namespace coir::bench;
using namespace coir::http;

class ByCoir {
public:
    char* room_behind(std::string_view kept) {
        if (was_refused_) [[unlikely]] {
            was_refused_ = false;
            exchange_.reset();  // not before what it has said is sent
        }
        exchange_.in.clear();
        exchange_.in.append(kept);
        return reinterpret_cast<char*>(exchange_.in.prepare(kReadBytes).data());
    }

    Answers answer(std::size_t bytes) {
        exchange_.in.commit(bytes - exchange_.in.size());
        exchange_.wire.out.clear();
        Next next = Next::request;
        while (next == Next::request && !exchange_.in.empty()) {
            next = answer_one();
        }
        exchange_.parser.reset();
        was_refused_ = next == Next::refused;
        const bool is_last = next == Next::refused || next == Next::close;
        return {exchange_.wire.out.as_text(), exchange_.in.as_text(), is_last};
    }

private:
    enum class Next { request, more, close, refused };

    /// Of the request whose head has been parsed.
    Next look_for_body() {
        const auto behind = exchange_.in.readable().subspan(exchange_.parser.head_bytes());
        if (!exchange_.head.chunked) {
            const auto length = exchange_.head.content_length.value_or(0);
            if (length > options_.max_body_bytes) {
                return Next::refused;
            }
            return length <= behind.size() ? Next::request : Next::more;
        }
        chunks_.begin();
        chunks_.limit(options_.max_body_bytes);
        const auto decoded = chunks_.decode(behind, nullptr);
        if (!decoded) {
            return Next::refused;
        }
        return decoded->complete ? Next::request : Next::more;
    }

    /// As in coir's connection.cpp, for what the load sends.
    Next answer_one() {
        const auto progress = exchange_.parser.parse_head(exchange_.in.as_text(), exchange_.head);
        if (!progress) {
            return Next::refused;
        }
        if (*progress == RequestParser::Progress::need_more) {
            return Next::more;
        }
        if (const Next body = look_for_body(); body != Next::request) {
            return body;
        }
        Request& request = exchange_.request;
        Response& response = exchange_.response;
        const RequestHead& head = exchange_.head;
        exchange_.context.version = head.version;
        exchange_.context.keep_alive = head.keep_alive;
        exchange_.context.is_head = head.method == Method::head;
        exchange_.source.begin(head);
        const Router::Match match = routes_.find(head.method, head.path, request.parameters());
        if (match.endpoint == nullptr ||
            (!exchange_.source.is_complete() && !exchange_.source.limit(options_.max_body_bytes))) {
            return Next::refused;
        }
        match.endpoint->handler(request, response);
        if (!exchange_.source.is_complete() || !response.is_touched()) {
            return Next::refused;
        }
        exchange_.date.refresh();
        (void)response_writer::append_response(exchange_.wire.out, response, exchange_.context);
        response.reset();
        exchange_.source.finish();
        return head.keep_alive ? Next::request : Next::close;
    }

    const ServerOptions options_;
    const Router routes_ = coir::server::make_routes();
    const ConnectionRegistry connections_;
    Exchange exchange_{options_, connections_};
    ChunkDecoder chunks_{{options_.max_chunk_extension_bytes, options_.max_header_bytes,
                          options_.max_header_fields}};
    bool was_refused_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    return serve_by<ByCoir>("coir-floor-strict", argc, argv);
}
