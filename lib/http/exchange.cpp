#include "exchange.hpp"

namespace coir::http {
namespace {

// Room for a pipelined burst each way; longer ones let them grow.
constexpr std::size_t kBufferBytes = 8 * 1024;

}  // namespace

Exchange::Exchange(const ServerOptions& options, const ConnectionRegistry& registry)
    : connections(registry),
      in(kBufferBytes),
      wire(options),
      parser({options.max_header_bytes, options.max_header_fields, options.max_target_bytes,
              options.max_chunk_extension_bytes, options.trusts_https_targets}),
      source(wire, in, parser),
      body(source),
      request(head, body, &client),
      response(sink),
      sink(wire, response, source, context, date, *this) {
    context.date_line = date.line();
    wire.out = Buffer(kBufferBytes);
}

void Exchange::reset() noexcept {
    source.reset();
    parser.reset();
    response.reset();
    sink.begin();
}

ExchangePool::ExchangePool(const ServerOptions& options, const ConnectionRegistry& connections)
    : options_(options), connections_(connections) {
    free_.reserve(kKeptExchanges);
}

std::unique_ptr<Exchange> ExchangePool::take() {
    if (free_.empty()) {
        return std::make_unique<Exchange>(options_, connections_);
    }
    std::unique_ptr<Exchange> exchange = std::move(free_.back());
    free_.pop_back();
    return exchange;
}

}  // namespace coir::http
