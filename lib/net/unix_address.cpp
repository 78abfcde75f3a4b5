#include "coir/net/unix_address.hpp"

#include <algorithm>
#include <cstring>

#include "coir/base/error.hpp"

namespace coir::net {
namespace {

constexpr socklen_t kFamilyBytes = offsetof(sockaddr_un, sun_path);

}  // namespace

UnixAddress::UnixAddress() noexcept : size_(kFamilyBytes) {
    static_assert(offsetof(Native, name) == kFamilyBytes);
    native_.family = AF_UNIX;
}

Result<UnixAddress> UnixAddress::path(std::string_view path) noexcept {
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return Errc::malformed_address;
    }
    if (path.size() > kMaxBytes) {
        return std::errc::filename_too_long;
    }
    UnixAddress address;
    std::memcpy(address.native_.name, path.data(), path.size());
    address.size_ = static_cast<socklen_t>(kFamilyBytes + path.size() + 1);
    return address;
}

Result<UnixAddress> UnixAddress::abstract(std::string_view name) noexcept {
    if (name.size() > kMaxBytes) {
        return std::errc::filename_too_long;
    }
    UnixAddress address;
    std::copy(name.begin(), name.end(), address.native_.name + 1);
    address.size_ = static_cast<socklen_t>(kFamilyBytes + 1 + name.size());
    return address;
}

UnixAddress UnixAddress::from_native(const sockaddr_storage& storage, socklen_t size) noexcept {
    UnixAddress address;
    // The kernel says 0 of a peer without a name, and one byte more than its own structure has of a
    // path without room for the NUL.
    if (size > kFamilyBytes) {
        const std::size_t bytes =
            std::min<std::size_t>(size - kFamilyBytes, sizeof address.native_.name - 1);
        std::memcpy(address.native_.name, reinterpret_cast<const char*>(&storage) + kFamilyBytes,
                    bytes);
        address.size_ = static_cast<socklen_t>(kFamilyBytes + bytes);
    }
    return address;
}

UnixAddress::Kind UnixAddress::kind() const noexcept {
    if (size_ == kFamilyBytes) {
        return Kind::unnamed;
    }
    return native_.name[0] == '\0' ? Kind::abstract : Kind::path;
}

std::string_view UnixAddress::as_name() const noexcept {
    switch (kind()) {
        case Kind::unnamed: return {};
        case Kind::abstract: return {native_.name + 1, size_ - kFamilyBytes - 1};
        case Kind::path: break;
    }
    return native_.name;
}

std::string UnixAddress::to_string() const {
    switch (kind()) {
        case Kind::unnamed: return "(unnamed)";
        case Kind::abstract: return '@' + std::string(as_name());
        case Kind::path: break;
    }
    return std::string(as_name());
}

}  // namespace coir::net
