#include "coir/net/resolver.hpp"

#include <string>
#include <utility>

#include "coir/base/number.hpp"
#include "net/lookup.hpp"

namespace coir::net {
namespace {

// 253 characters in text (RFC 1035), and the dot of the root.
constexpr std::size_t kMostHostBytes = 254;
constexpr std::size_t kMostServiceBytes = 255;

const char* describe(ResolveErrc code) noexcept {
    switch (code) {
        case ResolveErrc::malformed_host: return "not a host name";
        case ResolveErrc::host_not_found: return "host not found";
        case ResolveErrc::no_address: return "the host has no address of the wanted family";
        case ResolveErrc::try_again: return "no answer from a name server; try again later";
        case ResolveErrc::server_failure: return "failure of the name server";
        case ResolveErrc::unknown_service: return "unknown service";
    }
    return "unknown error of name resolution";
}

class Category final : public std::error_category {
public:
    const char* name() const noexcept override { return "coir.resolve"; }
    std::string message(int code) const override {
        return describe(static_cast<ResolveErrc>(code));
    }
};

bool is_text(std::string_view text, std::size_t most_bytes) noexcept {
    return !text.empty() && text.size() <= most_bytes && text.find('\0') == std::string_view::npos;
}

bool fits(const SocketAddress& address, AddressFamily family) noexcept {
    return family == AddressFamily::any || address.is_ipv6() == (family == AddressFamily::ipv6);
}

}  // namespace

const std::error_category& resolve_category() noexcept {
    static const Category category;
    return category;
}

std::error_code make_error_code(ResolveErrc code) noexcept {
    return {static_cast<int>(code), resolve_category()};
}

Result<Addresses> resolve(std::string_view host, std::uint16_t port, Deadline deadline,
                          const ResolveOptions& options) {
    if (!is_text(host, kMostHostBytes)) {
        return ResolveErrc::malformed_host;
    }
    if (const auto literal = SocketAddress::parse(host, port)) {
        if (!fits(*literal, options.family)) {
            return ResolveErrc::no_address;
        }
        return Addresses{*literal};
    }
    return resolve_by(&look_up, {.host = std::string(host), .port = port, .options = options},
                      deadline);
}

Result<Addresses> resolve(std::string_view host, std::string_view service, Deadline deadline,
                          const ResolveOptions& options) {
    if (const auto port = parse_integer<std::uint16_t>(service)) {
        return resolve(host, *port, deadline, options);
    } else if (port.error() == Errc::number_out_of_range || !is_text(service, kMostServiceBytes)) {
        return ResolveErrc::unknown_service;
    }
    if (!is_text(host, kMostHostBytes)) {
        return ResolveErrc::malformed_host;
    }
    LookupRequest request{
        .host = std::string(host), .service = std::string(service), .options = options};
    if (const auto literal = SocketAddress::parse(host, 0)) {
        request.host = literal->host_to_string();  // without brackets
        request.host_is_literal = true;
    }
    return resolve_by(&look_up, std::move(request), deadline);
}

}  // namespace coir::net
