#pragma once

#include <cstddef>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/sync/wait_list.hpp"
#include "coir/sync/waited_word.hpp"

namespace coir::detail {

/// A number of things that are to happen before those who wait go on: what Latch and WaitGroup share.
class Countdown final {
public:
    explicit Countdown(std::size_t count) noexcept : word_(count) {}

    void add(std::size_t count) noexcept;
    /// Requires: `count` is not more than is left.
    void subtract(std::size_t count) noexcept;
    [[nodiscard]] bool is_zero() const noexcept { return word_.value() == 0; }
    [[nodiscard]] Result<void> wait(const char* what, Deadline deadline,
                                    StopRequests stops) noexcept;

private:
    WaitedWord word_;
    WaitList waiters_;  // under word_; empty while that is 0
};

}  // namespace coir::detail
