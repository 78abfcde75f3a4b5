#pragma once

#include <chrono>

namespace coir {

/// The steady clock as the kernel's last tick left it: up to 10 ms behind, and four times as cheap to
/// read as Clock::now().
[[nodiscard]] std::chrono::steady_clock::time_point coarse_now() noexcept;

/// A point on the steady clock at which a wait gives up, or never.
class Deadline final {
public:
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] static constexpr Deadline never() noexcept { return Deadline{}; }
    [[nodiscard]] static constexpr Deadline at(Clock::time_point point) noexcept {
        return Deadline{point};
    }
    /// `duration` from now; never, if that is past the clock's end.
    [[nodiscard]] static Deadline after(Clock::duration duration) noexcept {
        const auto now = Clock::now();
        return duration > Clock::time_point::max() - now ? never() : Deadline{now + duration};
    }

    /// The same by the coarse clock: up to 10 ms early. For timeouts of seconds on hot paths.
    [[nodiscard]] static Deadline roughly_after(Clock::duration duration) noexcept {
        const auto now = coarse_now();
        return duration > Clock::time_point::max() - now ? never() : Deadline{now + duration};
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

    Clock::time_point point_ = Clock::time_point::max();
};

}  // namespace coir
