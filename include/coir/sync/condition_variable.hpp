#pragma once

#include <cstddef>
#include <mutex>

#include "coir/base/deadline.hpp"
#include "coir/sync/mutex.hpp"

namespace coir {

/// A condition variable for fibers, with coir::Mutex.
///
/// Threads: fibers of any runtime. A plain thread can wait as well: it looks again every 500 µs.
class ConditionVariable final {
public:
    ConditionVariable() noexcept;
    ~ConditionVariable();
    ConditionVariable(const ConditionVariable&) = delete;
    ConditionVariable& operator=(const ConditionVariable&) = delete;

    /// Suspends: until notified; wake-ups may be spurious. Requires: `lock` is held.
    void wait(std::unique_lock<Mutex>& lock);
    /// False if the deadline has passed first. Requires: `lock` is held; it is held again after.
    [[nodiscard]] bool wait_until(std::unique_lock<Mutex>& lock, Deadline deadline);

    template <typename Predicate>
    void wait(std::unique_lock<Mutex>& lock, Predicate done) {
        while (!done()) {
            wait(lock);
        }
    }
    /// The predicate's last answer.
    template <typename Predicate>
    [[nodiscard]] bool wait_until(std::unique_lock<Mutex>& lock, Deadline deadline,
                                  Predicate done) {
        while (!done()) {
            if (!wait_until(lock, deadline)) {
                return done();
            }
        }
        return true;
    }

    void notify_one() noexcept;
    void notify_all() noexcept;

private:
    // boost::fibers::condition_variable_any, whose header stays out of ours.
    alignas(8) std::byte storage_[40];
};

}  // namespace coir
