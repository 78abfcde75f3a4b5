// coir-floor-strict: what a request costs on coir-floor's loop if HTTP is coir's: its parser, bodies, router, the
// server's handlers, Date and response heads.
//
// It divides what coir-server costs above coir-floor: up to here it is HTTP, read and written as a server must; from
// here on it is what makes a server of it, fibers and their scheduler, timeouts, limits of connections, the ends of
// all of them. Not measured by it: bodies that come in pieces (they are collected first), and any that the load
// benchmark does not send (the end of a chunked one is looked for, not parsed, before the parser sees it).

#include <cstddef>
#include <string_view>

#include "epoll_loop.hpp"
#include "http/exchange.hpp"
#include "routes.hpp"

namespace {

using namespace coir::bench;
using namespace coir::http;

class ByCoir {
public:
    char* room_behind(std::string_view kept) {
        exchange_.in.clear();
        exchange_.in.append(kept);
        return reinterpret_cast<char*>(exchange_.in.prepare(kReadBytes).data());
    }

    Answers answer(std::size_t bytes) {
        exchange_.in.commit(bytes - exchange_.in.size());
        exchange_.wire.out.clear();
        bool is_good = true;
        while (is_good && !exchange_.in.empty()) {
            const auto progress =
                exchange_.parser.parse_head(exchange_.in.as_text(), exchange_.head);
            if (!progress || *progress == RequestParser::Progress::need_more || !has_whole_body()) {
                is_good = progress.has_value();
                break;
            }
            is_good = answer_one();
        }
        exchange_.parser.reset();
        return {exchange_.wire.out.as_text(), exchange_.in.as_text(), !is_good};
    }

private:
    bool has_whole_body() const {
        const std::string_view body = exchange_.in.as_text().substr(exchange_.parser.head_bytes());
        return exchange_.head.chunked
                   ? body.starts_with("0\r\n\r\n") || body.find("\r\n0\r\n\r\n") != body.npos
                   : exchange_.head.content_length.value_or(0) <= body.size();
    }

    /// As in coir's connection.cpp, without what cannot happen here; false where that would refuse or close.
    bool answer_one() {
        Request& request = exchange_.request;
        Response& response = exchange_.response;
        const RequestHead& head = exchange_.head;
        exchange_.context.version = head.version;
        exchange_.context.keep_alive = head.keep_alive;
        exchange_.source.begin(head);
        const Router::Match match = routes_.find(head.method, head.path, request.parameters());
        if (match.endpoint == nullptr ||
            (!exchange_.source.is_complete() && !exchange_.source.limit(options_.max_body_bytes))) {
            return false;
        }
        match.endpoint->handler(request, response);
        if (!exchange_.source.is_complete() || !response.is_touched()) {
            return false;
        }
        exchange_.date.refresh();
        (void)response_writer::append_response(exchange_.wire.out, response, exchange_.context);
        response.reset();
        exchange_.source.finish();
        return head.keep_alive;
    }

    const ServerOptions options_;
    const Router routes_ = coir::server::make_routes();
    const ConnectionRegistry connections_;
    Exchange exchange_{options_, connections_};
};

}  // namespace

int main(int argc, char** argv) {
    return serve_by<ByCoir>("coir-floor-strict", argc, argv);
}
