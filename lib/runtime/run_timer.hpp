#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/run_clock.hpp"

namespace coir::detail {

class RuntimeCore;

/// How long the fibers of one worker run before they let others run.
///
/// The problem: to read the clock costs more than the rest of a pick. So a few runs are timed together, as long as
/// they are short. A tick of the kernel's coarse clock ends a group, for it brings the dispatcher: what is taken for
/// one long run is at most such a tick too long.
///
/// Threads: its worker, except where said.
class RunTimer final {
public:
    explicit RunTimer(const RuntimeCore& core) noexcept : core_(core) {}

    /// Somebody begins to run, after nobody has or after who is not timed.
    void begin() noexcept {
        began_ = run_ticks();
        runs_ = 0;
        runs_per_group_ = runs_to_time_singly_ == 0 ? kRunsPerGroup : 1;
    }
    /// A run has ended, and the next begins. True if that, or one of those that were not timed yet, has been so long that
    /// others may have waited for it.
    [[nodiscard]] bool end_run() noexcept { return ++runs_ >= runs_per_group_ && end_group(runs_); }
    /// The same if nobody, or who is not timed, comes next.
    [[nodiscard]] bool end_last_run() noexcept { return end_group(runs_ + 1); }

    /// As RuntimeStats::longest_run, in ticks of run_clock. Threads: any.
    [[nodiscard]] std::uint64_t longest() const noexcept {
        return longest_.load(std::memory_order_relaxed);
    }

private:
    static constexpr std::uint32_t kRunsPerGroup = 4;
    static constexpr std::uint32_t kRunsTimedSingly = 64;

    [[nodiscard]] bool end_group(std::uint32_t runs) noexcept;
    [[nodiscard]] bool note(std::uint64_t ticks, std::uint32_t runs) noexcept;

    const RuntimeCore& core_;
    std::uint64_t began_ = run_ticks();  // the first run that is not timed yet
    std::uint32_t runs_ = 0;             // that have ended since
    std::uint32_t runs_per_group_ = 1;
    std::uint32_t runs_to_time_singly_ = 0;
    // In ticks: the longest so far, or what is long if that is less. One comparison serves both.
    std::uint64_t notable_ = 0;
    std::atomic<std::uint64_t> longest_{0};
};

}  // namespace coir::detail
