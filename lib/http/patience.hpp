#pragma once

#include <chrono>
#include <cstdint>

#include "coir/base/deadline.hpp"

namespace coir::http {

/// How long a client may keep the server waiting, in one direction: a while in all, and what it sends
/// or takes earns time back at the slowest rate that is accepted, up to that while.
///
/// The problem: a deadline for each wait is renewed by every byte, so a client can drip; a budget that
/// every byte adds to can be saved up, and a fast client may stop for hours then. Here a client at the
/// slowest rate or above is never cut, one below it uses up the while sooner or later, and one that
/// stands still has no more than the while.
class Patience final {
public:
    using Duration = Deadline::Clock::duration;

    Patience(std::chrono::milliseconds whole, std::uint64_t bytes_per_second) noexcept;

    void renew() noexcept { left_ = whole_; }
    /// The server has waited for the client, and for nothing else.
    void spend(Duration waited) noexcept { left_ -= waited; }
    void earn(std::uint64_t bytes) noexcept;
    [[nodiscard]] Duration left() const noexcept { return left_; }
    /// Whether what is left is less than the coarse clock can tell from nothing.
    [[nodiscard]] bool is_over() const noexcept { return left_ < std::chrono::milliseconds(10); }

private:
    Duration whole_;
    Duration left_;  // <= whole_
    std::uint64_t bytes_per_second_;
};

}  // namespace coir::http
