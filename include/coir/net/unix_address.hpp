#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "coir/base/result.hpp"

namespace coir::net {

/// The name of a Unix socket: a path, a name in the kernel's abstract space (which lives as long as
/// the socket, and has no owner and no permissions), or none.
class UnixAddress final {
public:
    enum class Kind { unnamed, path, abstract };

    /// The longest path, in bytes; an abstract name may be as long.
    static constexpr std::size_t kMaxBytes = sizeof(sockaddr_un::sun_path) - 1;

    /// Unnamed, as the client's end of most connections is.
    UnixAddress() noexcept;

    /// Errors: malformed_address (empty, or with a NUL byte), filename_too_long.
    [[nodiscard]] static Result<UnixAddress> path(std::string_view path) noexcept;
    /// `name` is any bytes, without the NUL that the kernel puts in front. Errors: filename_too_long.
    [[nodiscard]] static Result<UnixAddress> abstract(std::string_view name) noexcept;
    /// What the kernel says. `size` is that of the address in `storage`.
    [[nodiscard]] static UnixAddress from_native(const sockaddr_storage& storage,
                                                 socklen_t size) noexcept;

    [[nodiscard]] Kind kind() const noexcept;
    /// The path, which a NUL byte follows, or the abstract name; a view into *this.
    [[nodiscard]] std::string_view as_name() const noexcept;
    /// "/run/x.sock", "@name", "(unnamed)": for people, since names may look like each other.
    [[nodiscard]] std::string to_string() const;

    [[nodiscard]] const sockaddr* native() const noexcept {
        return reinterpret_cast<const sockaddr*>(&native_);
    }
    [[nodiscard]] socklen_t native_size() const noexcept { return size_; }

    friend bool operator==(const UnixAddress& a, const UnixAddress& b) noexcept {
        return a.kind() == b.kind() && a.as_name() == b.as_name();
    }

private:
    // Longer than the kernel's by a byte, so that a path always ends with one that is 0.
    struct Native {
        sa_family_t family;
        char name[kMaxBytes + 2];
    };

    Native native_{};
    socklen_t size_;
};

}  // namespace coir::net
