#pragma once

#include <mutex>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/spin_lock.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/sync/mutex.hpp"
#include "coir/sync/wait_list.hpp"

namespace coir {

/// A condition variable for fibers and plain threads, with coir::Mutex.
///
/// It may be destroyed when all who waited have been notified, though they have not returned yet; those
/// who waited with a deadline must have returned. Who notifies without holding the mutex must know by
/// other means that it still exists.
/// Threads: fibers of any runtime, and plain threads.
/// Cost:    no allocation; notifying takes a short lock, and a wake-up if somebody waits.
class ConditionVariable final {
public:
    ConditionVariable() noexcept = default;
    ~ConditionVariable();
    ConditionVariable(const ConditionVariable&) = delete;
    ConditionVariable& operator=(const ConditionVariable&) = delete;

    /// Suspends: until notified; wake-ups may be spurious. A plain thread blocks. Requests to stop are
    ///           ignored: give a deadline, or never() in that place, to have them obeyed.
    /// Requires: `lock` is held; it is held again after.
    void wait(std::unique_lock<Mutex>& lock) {
        (void)wait_notified(lock, Deadline::never(), StopRequests::ignored);
    }
    /// Suspends: until notified, or `deadline`. Requires: `lock` is held; it is held again after.
    /// Errors:   timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait_until(std::unique_lock<Mutex>& lock, Deadline deadline) {
        return wait_notified(lock, deadline, StopRequests::obeyed);
    }

    template <typename Predicate>
    void wait(std::unique_lock<Mutex>& lock, Predicate done) {
        while (!done()) {
            wait(lock);
        }
    }
    /// Until the predicate is true; success means that it was. Errors: timed_out, operation_canceled.
    template <typename Predicate>
    [[nodiscard]] Result<void> wait_until(std::unique_lock<Mutex>& lock, Deadline deadline,
                                          Predicate done) {
        while (!done()) {
            if (auto notified = wait_until(lock, deadline); !notified) {
                return done() ? Result<void>() : notified;
            }
        }
        return {};
    }

    /// Wakes who has waited longest.
    void notify_one() noexcept;
    void notify_all() noexcept;

private:
    friend class ConditionVariableAny;

    template <typename Lock>
    [[nodiscard]] Result<void> wait_notified(Lock& lock, Deadline deadline, StopRequests stops) {
        detail::OwnWait node;
        enlist(node);
        lock.unlock();
        const Result<void> notified = await_notice(node, deadline, stops);
        lock.lock();
        return notified;
    }
    void enlist(detail::WaitNode& node) noexcept;
    [[nodiscard]] Result<void> await_notice(detail::WaitNode& node, Deadline deadline,
                                            StopRequests stops) noexcept;

    detail::SpinLock lock_;
    detail::WaitList waiters_;  // under lock_
};

/// The same for whatever has lock() and unlock(): a std::shared_lock of a SharedMutex, a RecursiveMutex.
class ConditionVariableAny final {
public:
    ConditionVariableAny() noexcept = default;
    ConditionVariableAny(const ConditionVariableAny&) = delete;
    ConditionVariableAny& operator=(const ConditionVariableAny&) = delete;

    template <typename Lock>
    void wait(Lock& lock) {
        (void)condition_.wait_notified(lock, Deadline::never(), StopRequests::ignored);
    }
    template <typename Lock>
    [[nodiscard]] Result<void> wait_until(Lock& lock, Deadline deadline) {
        return condition_.wait_notified(lock, deadline, StopRequests::obeyed);
    }
    template <typename Lock, typename Predicate>
    void wait(Lock& lock, Predicate done) {
        while (!done()) {
            wait(lock);
        }
    }
    template <typename Lock, typename Predicate>
    [[nodiscard]] Result<void> wait_until(Lock& lock, Deadline deadline, Predicate done) {
        while (!done()) {
            if (auto notified = wait_until(lock, deadline); !notified) {
                return done() ? Result<void>() : notified;
            }
        }
        return {};
    }

    void notify_one() noexcept { condition_.notify_one(); }
    void notify_all() noexcept { condition_.notify_all(); }

private:
    ConditionVariable condition_;
};

}  // namespace coir
