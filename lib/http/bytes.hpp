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

template <typename T>
[[nodiscard]] inline bool equal_one(const char* a, const char* b) noexcept {
    return load<T>(a) == load<T>(b);
}

/// Up to three bytes as a number: the first, the middle and the last one. Requires: size is 1 to 3.
[[nodiscard]] inline std::uint32_t load_few(const char* from, std::size_t size) noexcept {
    const auto byte = [from](std::size_t at) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(from[at]));
    };
    return byte(0) | byte(size / 2) << 8 | byte(size - 1) << 16;
}

[[nodiscard, gnu::always_inline]] inline bool equal(const char* a, const char* b,
                                                    std::size_t size) noexcept {
    if (size >= 8) {
        const std::size_t last = size - 8;  // overlaps the word before it
        for (std::size_t at = 0; at < last; at += 8) {
            if (!equal_one<std::uint64_t>(a + at, b + at)) {
                return false;
            }
        }
        return equal_one<std::uint64_t>(a + last, b + last);
    }
    if (size >= 4) {
        return equal_one<std::uint32_t>(a, b) &&
               equal_one<std::uint32_t>(a + size - 4, b + size - 4);
    }
    return size == 0 || load_few(a, size) == load_few(b, size);
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
