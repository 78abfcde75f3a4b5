#pragma once

namespace coir::test {

/// ThreadSanitizer makes a spawn cost half a millisecond and knows 8,128 threads and fibers at most.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

/// The first of two sizes, the second under ThreadSanitizer.
template <typename T>
constexpr T unless_tsan(T usual, T with_tsan) noexcept {
    return kThreadSanitizer ? with_tsan : usual;
}

}  // namespace coir::test
