#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <stdexcept>
#include <string_view>

#include "coir/net/address.hpp"

namespace coir::server {

/// What the program was asked to do.
struct Options {
    net::SocketAddress address = net::SocketAddress::any(8080);
    /// Worker threads; 0 means as many as there are usable CPUs.
    std::size_t workers = 0;
    /// Only explain the options.
    bool help = false;
};

inline constexpr std::size_t kMaxWorkers = 1024;

/// An option that cannot be obeyed. what() is one line, and names the option or the variable.
class UsageError final : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The value of an environment variable, or null.
using Environment = std::function<const char*(const char* name)>;

/// `arguments` are those after the program's name. An option beats its environment variable, the last
/// of several equal options wins, and an empty variable is none. With --help no value is looked at.
/// Errors: throws UsageError.
[[nodiscard]] Options parse_options(std::span<const char* const> arguments,
                                    const Environment& environment);

/// What --help prints.
[[nodiscard]] std::string_view usage() noexcept;

}  // namespace coir::server
