#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>
#include <utility>

namespace coir {

/// The steady clock as the kernel's last tick left it: up to 10 ms behind, and four times as cheap to
/// read as Clock::now().
[[nodiscard]] std::chrono::steady_clock::time_point coarse_now() noexcept;

/// `duration` in the clock's unit, or the longest or shortest that the clock can hold: to convert
/// milliseconds::max() without a look would overflow.
template <typename Rep, typename Period>
[[nodiscard]] constexpr std::chrono::steady_clock::duration saturated(
    std::chrono::duration<Rep, Period> duration) noexcept {
    using Target = std::chrono::steady_clock::duration;
    if constexpr (std::is_floating_point_v<Rep>) {
        using Same = std::chrono::duration<Rep, Target::period>;
        const Rep count = std::chrono::duration_cast<Same>(duration).count();
        // 2^63, the first value that is too large.
        constexpr Rep kEnd = -static_cast<Rep>(std::numeric_limits<Target::rep>::min());
        return count >= kEnd    ? Target::max()
               : count >= -kEnd ? Target(static_cast<Target::rep>(count))
                                : Target::min();
    } else if constexpr (std::ratio_less_equal_v<Target::period, Period>) {
        using Source = std::chrono::duration<std::intmax_t, Period>;
        constexpr auto kMost = std::chrono::duration_cast<Source>(Target::max()).count();
        constexpr auto kLeast = std::chrono::duration_cast<Source>(Target::min()).count();
        return std::cmp_greater(duration.count(), kMost) ? Target::max()
               : std::cmp_less(duration.count(), kLeast)
                   ? Target::min()
                   : std::chrono::duration_cast<Target>(duration);
    } else {
        return std::chrono::duration_cast<Target>(duration);  // a finer unit: it becomes less
    }
}

/// A point on the steady clock at which a wait gives up, or never.
class Deadline final {
public:
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] static constexpr Deadline never() noexcept { return Deadline{}; }
    [[nodiscard]] static constexpr Deadline at(Clock::time_point point) noexcept {
        return Deadline{point};
    }
    /// `duration` from now; never, if that is past the clock's end.
    template <typename Rep = Clock::rep, typename Period = Clock::period>
    [[nodiscard]] static Deadline after(std::chrono::duration<Rep, Period> duration) noexcept {
        return from(Clock::now(), saturated(duration));
    }
    /// The same by the coarse clock: up to 10 ms early. For timeouts of seconds on hot paths.
    template <typename Rep = Clock::rep, typename Period = Clock::period>
    [[nodiscard]] static Deadline roughly_after(
        std::chrono::duration<Rep, Period> duration) noexcept {
        return from(coarse_now(), saturated(duration));
    }

    [[nodiscard]] constexpr bool is_never() const noexcept {
        return point_ == Clock::time_point::max();
    }
    [[nodiscard]] constexpr Clock::time_point time_point() const noexcept { return point_; }
    [[nodiscard]] constexpr bool has_passed(Clock::time_point now) const noexcept {
        return point_ <= now;
    }
    friend constexpr auto operator<=>(Deadline, Deadline) noexcept = default;

private:
    constexpr Deadline() noexcept = default;
    explicit constexpr Deadline(Clock::time_point point) noexcept : point_(point) {}

    [[nodiscard]] static constexpr Deadline from(Clock::time_point now,
                                                 Clock::duration duration) noexcept {
        return duration > Clock::time_point::max() - now ? never() : Deadline{now + duration};
    }

    Clock::time_point point_ = Clock::time_point::max();
};

}  // namespace coir
