#include "net/backoff.hpp"

#include <algorithm>

namespace coir::net::detail {

Result<void> Backoff::pause(Deadline deadline) noexcept {
    constexpr std::chrono::milliseconds kLongest{16};
    const Deadline turn = Deadline::after(length_);
    length_ = std::min<std::chrono::microseconds>(2 * length_, kLongest);
    const auto parked = parker_.park_for("room in a Unix socket's queue", std::min(turn, deadline));
    if (!parked && parked.error() != std::errc::timed_out) {
        return parked;
    }
    // Earlier than asked: a deadline of the whole task.
    const auto now = Deadline::Clock::now();
    if (!turn.has_passed(now) || deadline.has_passed(now)) {
        return std::errc::timed_out;
    }
    return {};
}

}  // namespace coir::net::detail
