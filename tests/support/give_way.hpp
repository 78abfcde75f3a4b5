#pragma once

#include <chrono>

#include "coir/runtime/this_fiber.hpp"

namespace coir::test {

/// Suspends the fiber in one of two ways.
template <typename Rep, typename Period>
void give_way(bool by_sleep, std::chrono::duration<Rep, Period> time) {
    if (by_sleep) {
        this_fiber::sleep_for(time);
    } else {
        this_fiber::yield();
    }
}

}  // namespace coir::test
