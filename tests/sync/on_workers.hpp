#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "coir/runtime/runtime.hpp"
#include "support/patience.hpp"

namespace coir::test {

/// Runs the body of a test as a fiber, with as many workers as the parameter says.
class OnWorkers : public testing::TestWithParam<std::size_t> {
protected:
    template <typename F>
    void run(F body) {
        Runtime runtime({.workers = GetParam()});
        runtime.run(std::move(body));
    }
};

/// Returns true as soon as `count` fibers wait for `what`. On a plain thread.
[[nodiscard]] inline bool wait_for_waiting(const Runtime& runtime, std::string_view what,
                                           int count = 1) {
    return holds_before(soon(), [&] {
        const auto fibers = runtime.fibers();
        return std::ranges::count_if(fibers, [&](const FiberInfo& info) {
                   return info.state == FiberInfo::State::waiting && info.waits_for == what;
               }) == count;
    });
}

}  // namespace coir::test
