#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "coir/http/headers.hpp"
#include "coir/http/method.hpp"
#include "coir/http/query.hpp"
#include "coir/http/version.hpp"

namespace coir::http {

class BodyReader;
class ClientWatch;

/// What the parser found in the head of one request. All views point into the connection's buffer.
struct RequestHead {
    Method method = Method::get;
    Version version = Version::http_1_1;
    /// What the client wants: its version's default, changed by `Connection`.
    bool keep_alive = true;
    /// `Expect: 100-continue`: the client waits for a word before it sends the body.
    bool expects_continue = false;
    /// `Transfer-Encoding: chunked`; never together with a content_length.
    bool chunked = false;
    std::optional<std::uint64_t> content_length;
    std::string_view target;     // as it came
    std::string_view path;       // not decoded; "/" at least, "*" only with OPTIONS
    std::string_view query;      // after '?', not decoded
    std::string_view authority;  // from the target if it names one, else from Host
    Headers headers;
};

/// What the `{name}` segments of a route's pattern matched.
struct PathParameters {
    static constexpr std::size_t kMax = 8;

    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;

    std::span<const std::string> names;  // of the route; as many as there are values
    std::array<std::string_view, kMax> values;
};

/// All that a handler may read. Its views live until the handler returns, not longer.
class Request final {
public:
    /// Without a watch, as in a test of a handler, nobody says that the client has gone.
    Request(const RequestHead& head, BodyReader& body, ClientWatch* client = nullptr) noexcept
        : head_(&head), body_(&body), client_(client) {}

    [[nodiscard]] Method method() const noexcept { return head_->method; }
    [[nodiscard]] Version version() const noexcept { return head_->version; }
    /// The target as it came: "/a/b?c=d", or "http://host/a/b?c=d", or "*".
    [[nodiscard]] std::string_view target() const noexcept { return head_->target; }
    /// The path before '?', not decoded; see to_decoded().
    [[nodiscard]] std::string_view path() const noexcept { return head_->path; }
    [[nodiscard]] Query query() const noexcept { return Query(head_->query); }
    /// The host that the client asked for, with the port if it named one; can be empty.
    [[nodiscard]] std::string_view authority() const noexcept { return head_->authority; }
    [[nodiscard]] const Headers& headers() const noexcept { return head_->headers; }
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept {
        return head_->headers.find(name);
    }
    /// Whether the client wants the connection to stay.
    [[nodiscard]] bool keep_alive() const noexcept { return head_->keep_alive; }
    /// Whether the client takes fields behind a body (`TE: trailers`); see Response::trailer().
    [[nodiscard]] bool wants_trailers() const noexcept;
    /// Whether the client offers to leave HTTP for this protocol, such as "websocket" or "IRC/6.9",
    /// on this connection; see Response::upgrade(). Names have no case; a version must be the same,
    /// or not be named by either. Never on HTTP/1.0, nor without `Connection: upgrade` (RFC 9110,
    /// 7.8), nor beside `Connection: close`.
    [[nodiscard]] bool offers_upgrade(std::string_view protocol) const noexcept;
    /// What the segment `{name}` of the route matched, not decoded; empty if the route has none.
    [[nodiscard]] std::string_view param(std::string_view name) const noexcept {
        return parameters_.find(name).value_or(std::string_view());
    }

    [[nodiscard]] BodyReader& body() const noexcept { return *body_; }

    /// Triggered when nobody may want the answer any more: the client has finished sending, which browsers
    /// and proxies do when their user has gone (and some simple programs when they have asked: those can
    /// still be answered), its connection has failed, the server's stop cuts it, or the handler's
    /// time is over (ServerOptions::handler_timeout). For handlers that wait, or work long; reads
    /// and writes of the client fail anyway where it has gone. Until the handler returns.
    ///
    /// Threads: to be asked for on the handler's own fiber, and then handed on. Callbacks run on any
    ///          worker, and must not suspend: to set a flag, to unpark, or to ask a fiber or a scope to
    ///          stop.
    /// Errors:  throws std::bad_alloc, std::system_error.
    /// Cost:    an allocation, the first time; nothing where nobody asks.
    [[nodiscard]] std::stop_token stop_token() const;

    /// Filled by Router::find().
    [[nodiscard]] PathParameters& parameters() noexcept { return parameters_; }

private:
    const RequestHead* head_;
    BodyReader* body_;
    ClientWatch* client_;
    PathParameters parameters_;
};

}  // namespace coir::http
