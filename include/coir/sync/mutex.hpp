#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/sync/wait_list.hpp"

namespace coir {

/// A mutex for fibers and plain threads: a fiber that has to wait lets others run on its thread.
///
/// Meets BasicLockable and Lockable, so std::lock_guard, std::unique_lock and std::scoped_lock work.
/// Unlike std::mutex it may be held across a suspension. Who has waited in vain a few times is given
/// the mutex before others can take it, so nobody waits for ever; first come, first served is not
/// promised. It may be destroyed as soon as nobody holds or wants it, also by the fiber that has
/// just been woken by unlock().
/// Threads: fibers of any runtime, and plain threads.
/// Cost:    uncontended two locked instructions, no system call, no allocation.
class Mutex final {
public:
    Mutex() noexcept = default;
    ~Mutex();
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    /// Suspends: until the mutex is free. A plain thread blocks. Requests to stop are ignored.
    /// Errors:   std::system_error(resource_deadlock_would_occur) if the caller holds it.
    void lock();
    /// Never suspends.
    [[nodiscard]] bool try_lock() noexcept;
    /// Suspends: until the mutex is free, or `deadline`.
    /// Errors:   timed_out, operation_canceled; and as lock().
    [[nodiscard]] Result<void> lock_until(Deadline deadline);
    /// The same in the standard library's words: false if it is not locked. So std::unique_lock and
    /// std::scoped_lock can be used with deadlines (TimedLockable).
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
    /// Requires: the caller holds it.
    void unlock() noexcept;
    /// Whether the caller holds it.
    [[nodiscard]] bool is_held() const noexcept {
        return owner_.load(std::memory_order_relaxed) == detail::this_execution();
    }

private:
    [[nodiscard]] Result<void> lock(Deadline deadline, StopRequests stops);
    [[nodiscard]] Result<void> lock_slowly(const void* self, Deadline deadline, StopRequests stops);
    void unlock_slowly() noexcept;
    [[nodiscard]] std::uint32_t lock_queue() noexcept;

    // A set of: kLocked; kQueueLocked, which protects waiters_; kHasWaiters. While kQueueLocked is set
    // nobody else changes the word. Every unlock ends with one store or compare-exchange to it, and
    // does not touch the mutex after that.
    std::atomic<std::uint32_t> word_{0};
    // this_execution() of who holds it; null in between.
    std::atomic<const void*> owner_{nullptr};
    detail::WaitList waiters_;
};

/// Every Mutex can be locked with a deadline.
using TimedMutex = Mutex;

}  // namespace coir
