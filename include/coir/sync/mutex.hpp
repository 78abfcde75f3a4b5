#pragma once

#include <cstddef>

namespace coir {

/// A mutex for fibers: a fiber that has to wait lets others run on its thread.
///
/// Meets BasicLockable and Lockable, so std::lock_guard and std::unique_lock work. Unlike std::mutex
/// it may be held across a suspension. First come, first served is not promised.
/// Threads: fibers of any runtime. A plain thread can use it as well, but it tries again every 100 µs
/// instead of being woken.
/// Cost:    uncontended two locked instructions, no system call, no allocation.
class Mutex final {
public:
    Mutex() noexcept;
    ~Mutex();
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    /// Suspends: until the mutex is free.
    /// Errors:   std::system_error(resource_deadlock_would_occur) if the caller holds it.
    void lock();
    [[nodiscard]] bool try_lock();
    /// Requires: the caller holds it.
    void unlock();

private:
    // boost::fibers::mutex, whose header stays out of ours.
    alignas(8) std::byte storage_[40];
};

}  // namespace coir
