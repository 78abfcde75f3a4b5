#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

/// Short copies and comparisons without a call: the pieces of a request are a few bytes each, and
/// memcpy and memcmp cost more to call than to do.
namespace coir::http::bytes {

template <typename T>
[[nodiscard]] inline T load(const char* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <typename T>
inline void copy_one(char* to, const char* from) noexcept {
    std::memcpy(to, from, sizeof(T));
}

[[nodiscard]] inline bool equal(const char* a, const char* b, std::size_t size) noexcept {
    if (size < 8 || size > 64) {
        return size == 0 || std::memcmp(a, b, size) == 0;
    }
    for (std::size_t at = 0; at < size - 8; at += 8) {
        if (load<std::uint64_t>(a + at) != load<std::uint64_t>(b + at)) {
            return false;
        }
    }
    return load<std::uint64_t>(a + size - 8) == load<std::uint64_t>(b + size - 8);
}

/// Returns the end of what it has written. The ranges do not overlap.
inline char* copy(char* to, const char* from, std::size_t size) noexcept {
    char* const end = to + size;
    if (size > 16) {
        std::memcpy(to, from, size);
    } else if (size >= 8) {
        copy_one<std::uint64_t>(to, from);
        copy_one<std::uint64_t>(end - 8, from + size - 8);
    } else if (size >= 4) {
        copy_one<std::uint32_t>(to, from);
        copy_one<std::uint32_t>(end - 4, from + size - 4);
    } else if (size != 0) {
        *to = *from;
        to[size / 2] = from[size / 2];
        end[-1] = from[size - 1];
    }
    return end;
}

}  // namespace coir::http::bytes
