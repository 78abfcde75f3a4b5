#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir {

/// A clock that strikes once every period, without drift: the time that its fiber takes for its work
/// does not add up, as it does with this_fiber::sleep_for().
///
/// Threads: one fiber at a time waits; cancel() from anywhere while it lives.
class Ticker final {
public:
    Ticker() noexcept = default;

    /// The first strike is one period from now.
    /// Errors: invalid_argument unless the period is positive, too_many_files_open. Never suspends.
    [[nodiscard]] static Result<Ticker> start(std::chrono::nanoseconds period) noexcept;

    /// Waits for the next strike; returns how many there were since the last call. That is 1, and more if
    /// the fiber came late: the others were missed.
    /// Suspends: until the next strike, or `deadline`; not at all after one that was missed.
    /// Errors:   timed_out, operation_canceled.
    [[nodiscard]] Result<std::uint64_t> tick(Deadline deadline) noexcept;

    /// Ends the tick() that waits, and every later one, with operation_canceled.
    void cancel() noexcept { source_.cancel(); }
    /// For select(): `on_readable(it.source())`, and then tick().
    [[nodiscard]] IoSource& source() noexcept { return source_; }

private:
    explicit Ticker(UniqueFd timer) noexcept : source_(std::move(timer)) {}

    IoSource source_;
};

}  // namespace coir
