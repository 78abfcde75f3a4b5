#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace coir::test {

/// How many threads this process has, a sanitizer's own among them.
inline std::ptrdiff_t threads_of_this_process() {
    const std::filesystem::directory_iterator entries("/proc/self/task");
    return std::distance(begin(entries), end(entries));
}

}  // namespace coir::test
