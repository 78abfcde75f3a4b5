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

/// What getaddrinfo() would take for an IPv4 address in an old way of writing, such as "127.1" or "0x7f.1":
/// no name of a host ends in a number (RFC 3696, section 2), and filters of names do not expect it.
bool ends_in_number(std::string_view host) noexcept {
    if (host.ends_with('.')) {
        host.remove_suffix(1);
    }
    std::string_view label = host.substr(host.rfind('.') + 1);
    std::string_view digits = "0123456789";
    if (label.starts_with("0x") || label.starts_with("0X")) {
        label.remove_prefix(2);
        digits = "0123456789abcdefABCDEF";
    } else if (label.empty()) {
        return false;
    }
    return label.find_first_not_of(digits) == std::string_view::npos;
}

Result<LookupRequest> request_for(std::string_view host, const ResolveOptions& options) {
    if (!is_text(host, kMostHostBytes)) {
        return ResolveErrc::malformed_host;
    }
    LookupRequest request{.options = options};
    if (const auto literal = SocketAddress::parse(host, 0)) {
        request.host = literal->host_to_string();  // without brackets
        request.host_is_literal = true;
    } else if (host.starts_with('[') && host.ends_with(']')) {
        request.host =
            host.substr(1, host.size() - 2);  // with a zone, or nothing that anybody knows
        request.host_is_literal = true;
    } else if (ends_in_number(host)) {
        return ResolveErrc::malformed_host;
    } else {
        request.host = host;
    }
    return request;
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
    if (const auto literal = SocketAddress::parse(host, port)) {
        if (!fits(*literal, options.family)) {
            return ResolveErrc::no_address;
        }
        return Addresses{*literal};
    }
    COIR_TRY(LookupRequest request, request_for(host, options));
    request.port = port;
    return resolve_by(&look_up, std::move(request), deadline);
}

Result<Addresses> resolve(std::string_view host, std::string_view service, Deadline deadline,
                          const ResolveOptions& options) {
    if (const auto port = parse_integer<std::uint16_t>(service)) {
        return resolve(host, *port, deadline, options);
    } else if (port.error() == Errc::number_out_of_range || !is_text(service, kMostServiceBytes)) {
        return ResolveErrc::unknown_service;
    }
    COIR_TRY(LookupRequest request, request_for(host, options));
    request.service = service;
    return resolve_by(&look_up, std::move(request), deadline);
}

}  // namespace coir::net
