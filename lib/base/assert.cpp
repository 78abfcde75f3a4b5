#include "coir/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace coir::detail {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "coir: %s:%d: broken invariant: %s\n", file, line, expression);
    std::abort();
}

}  // namespace coir::detail
