#pragma once

#include <x86intrin.h>

#include <array>
#include <cstdint>
#include <cstdio>

/// For ticks.patch: the processor's ticks between the system calls of requests, and in each kind of them, per send: of
/// the baseline mix that is per answer. For programs with one thread that serves.
namespace coir::bench::call_ticks {

/// Where the ticks are; the order is that of a line.
enum Place { user, recv, send, poll };

// In ticks, of one gap or call: well above what it takes (README.md); a poll brings up to 512 events. More is an
// interrupt, a sleep, or the host's.
inline constexpr std::array<std::uint64_t, 4> kMost = {20'000, 60'000, 60'000, 1'000'000};
inline constexpr std::uint32_t kAnswersPerLine = 20'000;

inline std::array<std::uint64_t, 4> sums{};
inline std::uint64_t last_look = 0;
inline Place call = poll;
inline std::uint32_t answers = 0;

[[gnu::noinline, gnu::cold]] inline void print() noexcept {
    const auto per_answer = [](Place place) { return static_cast<double>(sums[place]) / answers; };
    std::fprintf(stderr, "ticks user %.1f recv %.1f send %.1f poll %.1f\n", per_answer(user),
                 per_answer(recv), per_answer(send), per_answer(poll));
    sums = {};
    answers = 0;
}

inline void look(Place since) noexcept {
    const std::uint64_t now = __rdtsc();
    const std::uint64_t ticks = now - last_look;
    sums[since] += ticks < kMost[since] ? ticks : 0;
    last_look = now;
}

inline void enter_kernel(Place to) noexcept {
    look(user);
    call = to;
    if (to == send && ++answers == kAnswersPerLine) [[unlikely]] {
        print();
        last_look = __rdtsc();
    }
}

inline void leave_kernel() noexcept {
    look(call);
}

}  // namespace coir::bench::call_ticks
