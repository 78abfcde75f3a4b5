#pragma once

#include <cstdlib>
#include <string_view>

namespace coir::test {

/// Whether COIR_FORCE_MIGRATION=1 rules this process.
[[nodiscard]] inline bool migration_is_forced() {
    const char* const value = std::getenv("COIR_FORCE_MIGRATION");
    return value != nullptr && std::string_view(value) == "1";
}

}  // namespace coir::test
