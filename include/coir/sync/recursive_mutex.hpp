#pragma once

#include <chrono>
#include <cstddef>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/sync/mutex.hpp"

namespace coir {

/// A Mutex that its holder may lock again (std::recursive_timed_mutex).
///
/// Belongs to the fiber, on whatever thread it runs, or to the plain thread that locked it.
/// Threads: fibers of any runtime, and plain threads.
/// Cost:    as Mutex; to lock it again no locked instruction.
class RecursiveMutex final {
public:
    RecursiveMutex() noexcept = default;
    RecursiveMutex(const RecursiveMutex&) = delete;
    RecursiveMutex& operator=(const RecursiveMutex&) = delete;

    /// Suspends: until nobody else holds it. A plain thread blocks. Requests to stop are ignored.
    void lock();
    /// Never suspends.
    [[nodiscard]] bool try_lock() noexcept;
    /// Suspends: until nobody else holds it, or `deadline`. Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> lock_until(Deadline deadline);
    /// The same in the standard library's words: false if it is not locked.
    [[nodiscard]] bool try_lock_until(Deadline deadline) {
        return lock_until(deadline).has_value();
    }
    [[nodiscard]] bool try_lock_until(Deadline::Clock::time_point point) {
        return try_lock_until(Deadline::at(point));
    }
    template <typename Rep, typename Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return try_lock_until(Deadline::after(duration));
    }
    /// Others can lock it when it has been unlocked as often as locked. Requires: the caller holds it.
    void unlock() noexcept;

private:
    Mutex mutex_;
    std::size_t depth_ = 0;  // of who holds mutex_
};

using RecursiveTimedMutex = RecursiveMutex;

}  // namespace coir
