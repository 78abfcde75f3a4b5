#pragma once

#include <cstdlib>
#include <iostream>

namespace coir::fuzz {

/// Ends the program, for libFuzzer to keep the input, unless `holds`.
inline void require(bool holds, const char* promise) {
    if (!holds) {
        std::cerr << "broken promise: " << promise << '\n';
        std::abort();
    }
}

}  // namespace coir::fuzz
