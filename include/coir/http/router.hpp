#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coir/http/method.hpp"
#include "coir/http/request.hpp"

namespace coir::http {

class Response;

/// Runs on the fiber that serves the connection at that time, and may suspend, within ServerOptions::handler_timeout; what it
/// throws becomes a 500.
using Handler = std::function<void(Request&, Response&)>;

/// What one route has otherwise than ServerOptions says. What is not set is as it says.
struct RouteOptions {
    /// ServerOptions::max_body_bytes for this route: much for one that takes uploads piece by piece, by
    /// BodyReader::read_some(), little for a form. read_all() has a bound of its own.
    std::optional<std::uint64_t> max_body_bytes = {};
    /// ServerOptions::handler_timeout for this route: milliseconds::max() for one that streams
    /// events or waits for news, little for one that must be quick.
    std::optional<std::chrono::milliseconds> handler_timeout = {};
};

/// A handler, and how it wants to be called.
struct Endpoint {
    Handler handler;
    RouteOptions options;
};

/// Finds the handler for a method and a path.
///
/// A pattern is a path, "/users/me", or one with parameters, "/users/{id}/posts": a parameter
/// stands for one whole segment that is not empty. Where both fit, a literal segment beats a
/// parameter, the leftmost difference decides, and a path is compared as it came, without decoding.
/// A handler for GET answers HEAD as well, unless HEAD has its own.
///
/// Filled at start-up by one thread, then only read, by any number of them.
class Router final {
public:
    /// Errors: std::invalid_argument (malformed pattern, or the same method and path twice).
    Router& get(std::string_view pattern, Handler handler, RouteOptions options = {});
    Router& post(std::string_view pattern, Handler handler, RouteOptions options = {});
    Router& put(std::string_view pattern, Handler handler, RouteOptions options = {});
    Router& patch(std::string_view pattern, Handler handler, RouteOptions options = {});
    Router& del(std::string_view pattern, Handler handler, RouteOptions options = {});
    Router& head(std::string_view pattern, Handler handler, RouteOptions options = {});
    Router& options(std::string_view pattern, Handler handler, RouteOptions options = {});
    Router& handle(Method method, std::string_view pattern, Handler handler,
                   RouteOptions options = {});

    Router();
    ~Router();
    Router(Router&& other) noexcept;
    Router& operator=(Router&& other) noexcept;

    struct Match {
        /// Null: 404 if nothing is allowed, else 405.
        const Endpoint* endpoint = nullptr;
        /// What the path answers; complete only where there is no endpoint.
        MethodSet allowed;
    };
    /// Fills `parameters` if the route has any.
    /// Cost: one hash of the path for a pattern without parameters; no allocation.
    [[nodiscard]] Match find(Method method, std::string_view path,
                             PathParameters& parameters) const noexcept;
    /// The methods of all routes together, for `OPTIONS *`.
    [[nodiscard]] MethodSet all_methods() const noexcept { return all_methods_; }

private:
    struct Route;
    struct Node;
    struct Slot;

    Route& route_for(std::string_view pattern);
    void insert_exact(const Route* route);
    [[nodiscard]] const Route* find_exact(std::string_view path) const noexcept;
    // Not inline: the others should not make room for what it needs.
    [[nodiscard, gnu::noinline]] Match find_with_parameters(Method method, std::string_view path,
                                                            PathParameters& parameters,
                                                            MethodSet allowed) const noexcept;
    [[nodiscard]] static const Route* descend(const Node& node, std::string_view rest,
                                              std::size_t depth, Method method,
                                              PathParameters& parameters,
                                              MethodSet& allowed) noexcept;

    std::deque<Endpoint> endpoints_;
    std::deque<Route> routes_;
    // Open addressing over the patterns without parameters; a power of two, at most half full.
    std::vector<Slot> exact_;
    std::size_t exact_mask_;      // exact_.size() - 1
    std::unique_ptr<Node> root_;  // of the patterns with parameters, segment by segment
    MethodSet all_methods_;
};

}  // namespace coir::http
