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

/// The first and the last T of so many bytes, which may overlap.
template <typename T>
inline void copy_ends(char* to, const char* from, std::size_t size) noexcept {
    const T first = load<T>(from);
    const T last = load<T>(from + size - sizeof(T));
    std::memcpy(to, &first, sizeof first);
    std::memcpy(to + size - sizeof(T), &last, sizeof last);
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
        for (std::size_t at = 8; at < last; at += 8) {
            if (!equal_one<std::uint64_t>(a + at, b + at)) {
                return false;
            }
        }
        return equal_one<std::uint64_t>(a, b) && equal_one<std::uint64_t>(a + last, b + last);
    }
    if (size >= 4) {
        return equal_one<std::uint32_t>(a, b) &&
               equal_one<std::uint32_t>(a + size - 4, b + size - 4);
    }
    return size == 0 || load_few(a, size) == load_few(b, size);
}

/// Returns the end of what it has written. Ranges of more than 16 bytes do not overlap.
[[gnu::always_inline]] inline char* copy(char* to, const char* from, std::size_t size) noexcept {
    char* const end = to + size;
    if (size > 16) {
        std::memcpy(to, from, size);
    } else if (size >= 8) {
        copy_ends<std::uint64_t>(to, from, size);
    } else if (size >= 4) {
        copy_ends<std::uint32_t>(to, from, size);
    } else if (size >= 2) {
        const char middle = from[size / 2];
        copy_ends<char>(to, from, size);
        to[size / 2] = middle;
    } else if (size != 0) {
        *to = *from;
    }
    return end;
}

}  // namespace coir::http::bytes
