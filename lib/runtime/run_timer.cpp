#include "runtime/run_timer.hpp"

#include <algorithm>
#include <chrono>

#include "runtime/core.hpp"

namespace coir::detail {
namespace {

using namespace std::chrono_literals;

// Makes others that are ready wait for long: then it is worth more to look after other workers.
constexpr auto kLongRun = 200us;

}  // namespace

bool RunTimer::end_group(std::uint32_t runs) noexcept {
    const std::uint64_t began = began_;
    runs_to_time_singly_ -= std::min(runs, runs_to_time_singly_);
    begin();
    const std::uint64_t ticks = began_ - began;
    return ticks > notable_ && note(ticks, runs);
}

bool RunTimer::note(std::uint64_t ticks, std::uint32_t runs) noexcept {
    if (ticks > longest()) {
        longest_.store(ticks, std::memory_order_relaxed);
    }
    const std::chrono::duration<double> time = core_.to_time(ticks);
    if (time < kLongRun) {
        notable_ = ticks;
        return false;
    }
    notable_ = static_cast<std::uint64_t>(static_cast<double>(ticks) * (kLongRun / time));
    if (time >= runs * kLongRun) {
        return true;
    }
    runs_to_time_singly_ = kRunsTimedSingly;  // perhaps none of them was so long
    runs_per_group_ = 1;
    return false;
}

}  // namespace coir::detail
