#include "net/lookup.hpp"

#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "coir/base/syscall.hpp"
#include "coir/runtime/blocking.hpp"

namespace coir::net {
namespace {

/// On the heap, for its fiber may be gone when it ends.
class LookupJob final : public coir::detail::BlockingJob {
public:
    LookupJob(Lookup lookup, LookupRequest request)
        : lookup_(std::move(lookup)), request_(std::move(request)) {}

    /// Requires: it has run, and has not been left behind.
    [[nodiscard]] Result<Addresses> take_outcome() { return std::move(*outcome_); }

private:
    void run() noexcept override {
        try {
            outcome_ = lookup_(request_);
        } catch (const std::bad_alloc&) {
            outcome_ = std::errc::not_enough_memory;
        }
    }

    Lookup lookup_;
    LookupRequest request_;
    std::optional<Result<Addresses>> outcome_;
};

struct FreeAddressInfo {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

int native_family(AddressFamily family) noexcept {
    switch (family) {
        case AddressFamily::any: break;
        case AddressFamily::ipv4: return AF_INET;
        case AddressFamily::ipv6: return AF_INET6;
    }
    return AF_UNSPEC;
}

Addresses addresses_of(const addrinfo* list, const LookupRequest& request) {
    Addresses addresses;
    for (; list != nullptr; list = list->ai_next) {
        sockaddr_storage native{};
        if ((list->ai_family != AF_INET && list->ai_family != AF_INET6) ||
            list->ai_addrlen > sizeof native) {
            continue;
        }
        std::memcpy(&native, list->ai_addr, list->ai_addrlen);
        auto address = SocketAddress::from_native(native);
        if (request.service.empty()) {
            address = address.with_port(request.port);
        }
        // /etc/hosts may name an address twice.
        if (std::ranges::find(addresses, address) == addresses.end()) {
            addresses.push_back(address);
        }
    }
    return addresses;
}

}  // namespace

std::error_code error_of(int eai_code, std::error_code system) noexcept {
    switch (eai_code) {
        case EAI_NONAME: return ResolveErrc::host_not_found;
        case EAI_NODATA:
        case EAI_ADDRFAMILY: return ResolveErrc::no_address;
        case EAI_AGAIN: return ResolveErrc::try_again;
        case EAI_SERVICE: return ResolveErrc::unknown_service;
        case EAI_MEMORY: return std::make_error_code(std::errc::not_enough_memory);
        case EAI_FAMILY: return std::make_error_code(std::errc::address_family_not_supported);
        case EAI_SYSTEM:
            if (system) {
                return system;
            }
            break;
        default: break;
    }
    return ResolveErrc::server_failure;
}

Result<Addresses> look_up(const LookupRequest& request) {
    addrinfo hints{};
    hints.ai_family = native_family(request.options.family);
    hints.ai_socktype = SOCK_STREAM;  // or each address comes three times
    if (request.host_is_literal) {
        hints.ai_flags = AI_NUMERICHOST;
    } else if (request.options.only_configured_families) {
        hints.ai_flags = AI_ADDRCONFIG;
    }
    addrinfo* found = nullptr;
    const int code =
        ::getaddrinfo(request.host.c_str(),
                      request.service.empty() ? nullptr : request.service.c_str(), &hints, &found);
    if (code != 0) {
        return error_of(code, syscall::last_error());
    }
    const std::unique_ptr<addrinfo, FreeAddressInfo> list(found);
    Addresses addresses = addresses_of(list.get(), request);
    if (addresses.empty()) {
        return ResolveErrc::no_address;
    }
    return addresses;
}

Result<Addresses> resolve_by(Lookup lookup, LookupRequest request, Deadline deadline) {
    const auto job = std::make_shared<LookupJob>(std::move(lookup), std::move(request));
    if (const auto ran = coir::detail::run_abandonable(job, deadline); !ran) {
        return ran.error();
    }
    return job->take_outcome();
}

}  // namespace coir::net
