#pragma once

#include <chrono>
#include <thread>

#include "coir/base/deadline.hpp"

namespace coir::test {

/// How long a test waits for what should happen at once. It only ends tests that have failed, so it is
/// long enough for a loaded machine under a sanitizer.
inline constexpr std::chrono::seconds kPatience{20};

[[nodiscard]] inline Deadline soon() noexcept {
    return Deadline::after(kPatience);
}

/// What poll(2) wants: milliseconds until `deadline`, rounded up; 0 once it has passed.
[[nodiscard]] inline int milliseconds_left(Deadline deadline) noexcept {
    if (deadline.is_never()) {
        return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.time_point() -
                                                                   Deadline::Clock::now());
    return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

/// Looks again and again until `condition()` holds; false if it never did before `deadline`. For
/// facts that nobody announces, such as another process's open descriptors.
template <typename Condition>
[[nodiscard]] bool holds_before(Deadline deadline, Condition condition) {
    while (!condition()) {
        if (deadline.has_passed(Deadline::Clock::now())) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace coir::test
