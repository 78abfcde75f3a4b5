#pragma once

#include <x86intrin.h>

#include <cstdint>
#include <cstdio>

/// For ticks.patch: the processor's ticks between the end of one system call and the beginning of the next, per send:
/// of the baseline mix that is per answer. For programs with one thread that serves.
namespace coir::bench::user_ticks {

// Between an answer and a poll that sleeps, or around an interrupt, lies what no request needs.
inline constexpr std::uint64_t kMost = 20'000;
inline constexpr std::uint32_t kAnswersPerLine = 20'000;

inline std::uint64_t left_kernel = 0;
inline std::uint64_t sum = 0;
inline std::uint32_t answers = 0;

[[gnu::noinline, gnu::cold]] inline void print() noexcept {
    std::fprintf(stderr, "user ticks %.1f\n", static_cast<double>(sum) / answers);
    sum = 0;
    answers = 0;
}

inline void enter_kernel(bool to_send) noexcept {
    const std::uint64_t ticks = __rdtsc() - left_kernel;
    sum += ticks < kMost ? ticks : 0;
    if (to_send && ++answers == kAnswersPerLine) [[unlikely]] {
        print();
    }
}

inline void leave_kernel() noexcept {
    left_kernel = __rdtsc();
}

}  // namespace coir::bench::user_ticks
