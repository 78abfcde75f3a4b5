#include "coir/base/deadline.hpp"

#include <ctime>

namespace coir {

std::chrono::steady_clock::time_point coarse_now() noexcept {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);  // no system call: a few loads
    return std::chrono::steady_clock::time_point(std::chrono::seconds(now.tv_sec) +
                                                 std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace coir
