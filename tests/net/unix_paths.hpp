#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "coir/base/syscall.hpp"
#include "coir/net/unix_address.hpp"

namespace coir::test {

/// A directory of this test's own, which goes with it.
class SocketDirectory final {
public:
    SocketDirectory() {
        std::string name = std::filesystem::temp_directory_path() / "coir-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::system_error(syscall::last_error(), "mkdtemp");
        }
        path_ = name;
    }
    ~SocketDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    SocketDirectory(const SocketDirectory&) = delete;
    SocketDirectory& operator=(const SocketDirectory&) = delete;

    [[nodiscard]] std::filesystem::path file(std::string_view name) const { return path_ / name; }
    [[nodiscard]] net::UnixAddress address(std::string_view name) const {
        return net::UnixAddress::path(file(name).native()).value();
    }
    [[nodiscard]] bool has(std::string_view name) const {
        return std::filesystem::exists(std::filesystem::symlink_status(file(name)));
    }

private:
    std::filesystem::path path_;
};

}  // namespace coir::test
