#include "trailers.hpp"

#include <algorithm>
#include <array>

#include "coir/http/headers.hpp"

namespace coir::http::trailers {
namespace {

using namespace std::string_view_literals;

// Framing and connections, routing, what modifies a request, authentication, what controls a response,
// and what tells how to take the content.
constexpr std::array kNever = {
    "Connection"sv,
    "Content-Length"sv,
    "Keep-Alive"sv,
    "Proxy-Connection"sv,
    "TE"sv,
    "Trailer"sv,
    "Transfer-Encoding"sv,
    "Upgrade"sv,
    "Host"sv,
    "Max-Forwards"sv,
    "Cache-Control"sv,
    "Expect"sv,
    "If-Match"sv,
    "If-Modified-Since"sv,
    "If-None-Match"sv,
    "If-Range"sv,
    "If-Unmodified-Since"sv,
    "Pragma"sv,
    "Range"sv,
    "Authorization"sv,
    "Cookie"sv,
    "Proxy-Authenticate"sv,
    "Proxy-Authorization"sv,
    "Set-Cookie"sv,
    "WWW-Authenticate"sv,
    "Age"sv,
    "Date"sv,
    "Expires"sv,
    "Location"sv,
    "Retry-After"sv,
    "Server"sv,
    "Vary"sv,
    "Warning"sv,
    "Content-Encoding"sv,
    "Content-Range"sv,
    "Content-Type"sv,
};

}  // namespace

bool may_have(std::string_view name) noexcept {
    return std::none_of(kNever.begin(), kNever.end(), [name](std::string_view never) {
        return equals_ignoring_case(name, never);
    });
}

bool are_wanted(const RequestHead& head) noexcept {
    bool wanted = false;
    if (head.version == Version::http_1_1) {
        head.headers.for_each_value("TE", [&wanted](std::string_view value) {
            for_each_element(value, [&wanted](std::string_view coding) {
                wanted = wanted || equals_ignoring_case(coding, "trailers");
            });
        });
    }
    return wanted;
}

}  // namespace coir::http::trailers
