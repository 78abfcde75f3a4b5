#include "upgrade.hpp"

#include <cstddef>

#include "coir/http/headers.hpp"
#include "syntax.hpp"

namespace coir::http::upgrade {
namespace {

struct Protocol {
    std::string_view name;
    std::string_view version;
    bool has_version;
};

Protocol split(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) {
        return {text, {}, false};
    }
    return {text.substr(0, slash), text.substr(slash + 1), true};
}

bool is_well_formed(const Protocol& protocol) noexcept {
    return syntax::is_token(protocol.name) &&
           (!protocol.has_version || syntax::is_token(protocol.version));
}

// Names are registered in some case, and to be compared without; nothing is said of versions.
bool are_same(const Protocol& a, const Protocol& b) noexcept {
    return equals_ignoring_case(a.name, b.name) && a.has_version == b.has_version &&
           a.version == b.version;
}

template <typename Matches>
bool has_element(const RequestHead& head, std::string_view field, Matches matches) noexcept {
    bool found = false;
    head.headers.for_each_value(field, [&](std::string_view list) {
        for_each_element(list,
                         [&](std::string_view element) { found = found || matches(element); });
    });
    return found;
}

}  // namespace

bool is_offered(const RequestHead& head, std::string_view protocol) noexcept {
    const Protocol wanted = split(protocol);
    return head.version == Version::http_1_1 && head.keep_alive && is_well_formed(wanted) &&
           has_element(
               head, "Connection",
               [](std::string_view option) { return equals_ignoring_case(option, "upgrade"); }) &&
           has_element(head, "Upgrade",
                       [&](std::string_view offer) { return are_same(split(offer), wanted); });
}

}  // namespace coir::http::upgrade
