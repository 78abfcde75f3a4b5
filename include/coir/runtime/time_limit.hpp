#pragma once

#include <chrono>
#include <stop_token>
#include <utility>

#include "coir/base/deadline.hpp"

namespace coir {

namespace detail {
class Alarm;
struct Task;
}  // namespace detail

/// How long a fiber's waits for one piece of work may last, for who runs the work of others: a
/// server its handlers.
///
/// The problem: a DeadlineScope needs a look at the clock for each piece of work, though hardly any
/// waits, and what it has cut cannot be given back. This limit begins with the first wait (or with
/// the first look at this_fiber::deadline(), the first fiber that is spawned), it can be lifted for
/// a while, and it lies beside the DeadlineScopes of the work itself, which go on to hold
/// meanwhile. The earlier of both ends a wait; fibers that are spawned inherit it as a deadline.
///
/// Threads: its fiber.
class TimeLimit final {
public:
    using Clock = Deadline::Clock;

    /// The calling fiber's, or thread's; it stays where it is as long as that lives.
    [[nodiscard]] static TimeLimit& current() noexcept;

    TimeLimit(const TimeLimit&) = delete;
    TimeLimit& operator=(const TimeLimit&) = delete;

    /// milliseconds::max() means never; from 0 down it is over at once.
    /// Requires: `allowed` is more than milliseconds::min().
    void begin(std::chrono::milliseconds allowed) noexcept { allowed_ = allowed; }
    /// The work is done. Returns whether its time had passed. Without begin() it does nothing.
    bool end() noexcept {
        allowed_ = kNone;
        return is_running_ ? end_running() : false;
    }
    /// Triggers `listener` when the time has passed, unless end() comes before. Another listener
    /// takes its place. Does nothing where there is no limit.
    /// Throws std::bad_alloc. Requires: called on a fiber; callbacks of the listener's tokens do
    /// not suspend: they run on any worker, and may still be running after end().
    void stop_at_end(std::stop_source listener);

    /// From now on nothing is cut and no time passes, until restore().
    [[nodiscard]] std::chrono::milliseconds lift() noexcept {
        if (alarm_ != nullptr) [[unlikely]] {
            hold_alarm();
        }
        return std::exchange(allowed_, kNone);
    }
    /// `before` is what lift() has returned, `lasted` how long ago that was.
    void restore(std::chrono::milliseconds before, Clock::duration lasted) noexcept;

private:
    friend struct detail::Task;

    TimeLimit() noexcept = default;
    ~TimeLimit();

    static constexpr std::chrono::milliseconds kNone = std::chrono::milliseconds::min();

    [[nodiscard]] bool is_set() const noexcept { return allowed_ != kNone; }
    /// When waits end; begins if it has not. Requires: is_set().
    [[nodiscard]] Deadline deadline() noexcept;
    [[nodiscard]] bool end_running() noexcept;
    void drop_alarm() noexcept;
    void hold_alarm() noexcept;

    std::chrono::milliseconds allowed_ = kNone;  // kNone: there is no limit, or it is lifted
    bool is_running_ = false;                    // until end_; else it begins with the first wait
    Deadline end_ = Deadline::never();
    detail::Alarm* alarm_ = nullptr;  // set for end_ while that runs, held while it is lifted
};

}  // namespace coir
