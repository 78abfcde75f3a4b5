#include "coir/http/router.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <utility>

#include "bytes.hpp"

namespace coir::http {
namespace {

// Looks at up to 24 bytes: begin, middle and end. It need not resist an attacker, for the table
// never changes while strangers look things up in it; routes that differ in other places only share
// a run.
[[gnu::always_inline]] inline std::uint64_t hash_of(std::string_view path) noexcept {
    const char* const begin = path.data();
    const std::size_t size = path.size();
    std::uint64_t word = size;
    if (size >= 8) {
        word ^= bytes::load<std::uint64_t>(begin) ^
                std::rotl(bytes::load<std::uint64_t>(begin + size - 8), 24) ^
                std::rotl(bytes::load<std::uint64_t>(begin + size / 2 - 4), 48);
    } else if (size >= 4) {
        word ^= bytes::load<std::uint32_t>(begin) ^
                std::uint64_t{bytes::load<std::uint32_t>(begin + size - 4)} << 32;
    } else if (size != 0) {
        word ^= std::uint64_t{bytes::load_few(begin, size)} << 8;
    }
    const std::uint64_t product = word * 0x9e3779b97f4a7c15U;
    return product ^ product >> 32;
}

[[noreturn]] void refuse(std::string_view pattern, const char* reason) {
    throw std::invalid_argument("route \"" + std::string(pattern) + "\": " + reason);
}

bool is_parameter(std::string_view segment) noexcept {
    return segment.starts_with('{');
}

// Takes the segment up to the next '/' off `rest`; true if another one follows.
bool take_segment(std::string_view& rest, std::string_view& segment) noexcept {
    const std::size_t slash = rest.find('/');
    segment = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    return slash != std::string_view::npos;
}

// The names of the parameters, in order.
std::vector<std::string> check_pattern(std::string_view pattern) {
    if (!pattern.starts_with('/')) {
        refuse(pattern, "a pattern begins with '/'");
    }
    for (const char c : pattern) {
        if (c <= ' ' || c == '\x7f' || c == '?' || c == '#') {
            refuse(pattern, "a pattern is a path: no blanks, control characters, '?' or '#'");
        }
    }
    std::vector<std::string> names;
    std::string_view rest = pattern.substr(1);
    std::string_view segment;
    for (bool more = true; more;) {
        more = take_segment(rest, segment);
        if (!is_parameter(segment)) {
            if (segment.find_first_of("{}") != std::string_view::npos) {
                refuse(pattern, "a parameter is a whole segment, like /{name}/");
            }
            continue;
        }
        const std::string_view name = segment.substr(1, segment.find('}') - 1);
        if (segment.size() < 3 || name.size() != segment.size() - 2 ||
            name.find('{') != std::string_view::npos) {
            refuse(pattern, "a parameter is a whole segment with a name, like /{name}/");
        }
        if (std::find(names.begin(), names.end(), name) != names.end()) {
            refuse(pattern, "two parameters have the same name");
        }
        if (names.size() == PathParameters::kMax) {
            refuse(pattern, "too many parameters");
        }
        names.emplace_back(name);
    }
    return names;
}

}  // namespace

struct Router::Route {
    std::string pattern;
    std::vector<std::string> names;
    std::array<const Endpoint*, kMethodCount> endpoints{};  // of HEAD also where GET stands in
    MethodSet registered;
    MethodSet answered;  // registered, and HEAD where GET is

    [[nodiscard]] const Endpoint* endpoint(Method method) const noexcept {
        return endpoints[static_cast<std::size_t>(method)];
    }
};

struct alignas(32) Router::Slot {
    const char* path = nullptr;  // of the route, here to spare a look at it
    std::size_t path_size = 0;
    const Route* route = nullptr;
};

struct Router::Node {
    std::vector<std::pair<std::string, std::unique_ptr<Node>>> literals;
    std::unique_ptr<Node> parameter;
    Route* route = nullptr;  // of the pattern that ends here

    Node& child(std::string_view segment) {
        if (is_parameter(segment)) {
            if (!parameter) {
                parameter = std::make_unique<Node>();
            }
            return *parameter;
        }
        for (auto& [text, node] : literals) {
            if (text == segment) {
                return *node;
            }
        }
        return *literals.emplace_back(segment, std::make_unique<Node>()).second;
    }
};

Router::Router() : exact_(4), exact_mask_(3) {}
Router::~Router() = default;
Router::Router(Router&& other) noexcept = default;
Router& Router::operator=(Router&& other) noexcept = default;

Router& Router::get(std::string_view pattern, Handler handler, RouteOptions options) {
    return handle(Method::get, pattern, std::move(handler), options);
}
Router& Router::post(std::string_view pattern, Handler handler, RouteOptions options) {
    return handle(Method::post, pattern, std::move(handler), options);
}
Router& Router::put(std::string_view pattern, Handler handler, RouteOptions options) {
    return handle(Method::put, pattern, std::move(handler), options);
}
Router& Router::patch(std::string_view pattern, Handler handler, RouteOptions options) {
    return handle(Method::patch, pattern, std::move(handler), options);
}
Router& Router::del(std::string_view pattern, Handler handler, RouteOptions options) {
    return handle(Method::del, pattern, std::move(handler), options);
}
Router& Router::head(std::string_view pattern, Handler handler, RouteOptions options) {
    return handle(Method::head, pattern, std::move(handler), options);
}
Router& Router::options(std::string_view pattern, Handler handler, RouteOptions options) {
    return handle(Method::options, pattern, std::move(handler), options);
}

Router& Router::handle(Method method, std::string_view pattern, Handler handler,
                       RouteOptions options) {
    if (!handler) {
        refuse(pattern, "no handler");
    }
    Route& route = route_for(pattern);
    if (route.registered.contains(method)) {
        refuse(pattern, "this method and path have a handler already");
    }
    const Endpoint* const stored = &endpoints_.emplace_back(Endpoint{std::move(handler), options});
    route.endpoints[static_cast<std::size_t>(method)] = stored;
    route.registered.insert(method);
    route.answered.insert(method);
    if (method == Method::get && !route.registered.contains(Method::head)) {
        route.endpoints[static_cast<std::size_t>(Method::head)] = stored;
        route.answered.insert(Method::head);
    }
    all_methods_.insert(route.answered);
    return *this;
}

[[gnu::always_inline]] inline const Router::Route* Router::find_exact(
    std::string_view path) const noexcept {
    for (std::size_t at = hash_of(path);; ++at) {
        const Slot& slot = exact_.data()[at & exact_mask_];  // some slot is empty: this ends
        if (slot.path_size == path.size() && slot.route != nullptr &&
            bytes::equal(slot.path, path.data(), path.size())) {
            return slot.route;
        }
        if (slot.route == nullptr) {
            return nullptr;
        }
    }
}

// The route of that pattern, which may have handlers for other methods already. Patterns that
// differ only in the names of their parameters are refused: a route has one set of names.
Router::Route& Router::route_for(std::string_view pattern) {
    std::vector<std::string> names = check_pattern(pattern);
    if (names.empty()) {
        if (const Route* found = find_exact(pattern); found != nullptr) {
            return *std::find_if(routes_.begin(), routes_.end(),
                                 [found](const Route& route) { return &route == found; });
        }
        Route& route = routes_.emplace_back(Route{std::string(pattern), {}, {}, {}, {}});
        insert_exact(&route);
        return route;
    }
    if (!root_) {
        root_ = std::make_unique<Node>();
    }
    Node* node = root_.get();
    std::string_view rest = pattern.substr(1);
    std::string_view segment;
    for (bool more = true; more;) {
        more = take_segment(rest, segment);
        node = &node->child(segment);
    }
    if (node->route == nullptr) {
        node->route =
            &routes_.emplace_back(Route{std::string(pattern), std::move(names), {}, {}, {}});
    } else if (node->route->names != names) {
        refuse(pattern, "the same path has parameters of other names already");
    }
    return *node->route;
}

void Router::insert_exact(const Route* route) {
    std::size_t used = 1;
    for (const Slot& slot : exact_) {
        used += slot.route != nullptr ? 1 : 0;
    }
    std::vector<Slot> slots(exact_.size());
    if (2 * used > slots.size()) {
        slots.resize(2 * slots.size());
    }
    const auto put = [&slots](const Slot& entry) {
        std::size_t at = hash_of({entry.path, entry.path_size}) & (slots.size() - 1);
        while (slots[at].route != nullptr) {
            at = (at + 1) & (slots.size() - 1);
        }
        slots[at] = entry;
    };
    for (const Slot& slot : exact_) {
        if (slot.route != nullptr) {
            put(slot);
        }
    }
    put({route->pattern.data(), route->pattern.size(), route});
    exact_mask_ = slots.size() - 1;
    exact_ = std::move(slots);
}

const Router::Route* Router::descend(const Node& node, std::string_view rest, std::size_t depth,
                                     Method method, PathParameters& parameters,
                                     MethodSet& allowed) noexcept {
    std::string_view segment;
    const bool more = take_segment(rest, segment);
    const auto follow = [&](const Node& next, std::size_t next_depth) -> const Route* {
        if (more) {
            return descend(next, rest, next_depth, method, parameters, allowed);
        }
        if (next.route == nullptr) {
            return nullptr;
        }
        allowed.insert(next.route->answered);
        return next.route->endpoint(method) != nullptr ? next.route : nullptr;
    };
    for (const auto& [text, child] : node.literals) {
        if (text == segment) {
            if (const Route* found = follow(*child, depth); found != nullptr) {
                return found;
            }
            break;
        }
    }
    if (node.parameter == nullptr || segment.empty()) {
        return nullptr;
    }
    const Route* const found = follow(*node.parameter, depth + 1);
    if (found != nullptr) {
        parameters.values[depth] = segment;
    }
    return found;
}

Router::Match Router::find_with_parameters(Method method, std::string_view path,
                                           PathParameters& parameters,
                                           MethodSet allowed) const noexcept {
    Match match{.allowed = allowed};
    if (root_ == nullptr || !path.starts_with('/')) {
        return match;
    }
    const Route* const route =
        descend(*root_, path.substr(1), 0, method, parameters, match.allowed);
    if (route != nullptr) {
        match.endpoint = route->endpoint(method);
        parameters.names = route->names;
    }
    return match;
}

Router::Match Router::find(Method method, std::string_view path,
                           PathParameters& parameters) const noexcept {
    parameters.names = {};
    const Route* const exact = find_exact(path);
    if (exact != nullptr && exact->endpoint(method) != nullptr) [[likely]] {
        return {exact->endpoint(method), exact->answered};
    }
    return find_with_parameters(method, path, parameters,
                                exact != nullptr ? exact->answered : MethodSet());
}

}  // namespace coir::http
