#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/stop_requests.hpp"

namespace coir {

/// Lets one fiber or plain thread wait until another says that it may go on.
///
/// The brick under locks, conditions and queues, for those who build their own. unpark() before park()
/// is not lost: it is kept, once, and the next park() returns at once. (So do java's LockSupport and
/// Rust's std::thread::park.)
///
/// Threads: one waits at a time; any may unpark.
class Parker final {
public:
    Parker() noexcept;
    /// Requires: nobody waits, and every unpark() has either ended somebody's park() or returned.
    ~Parker();
    Parker(const Parker&) = delete;
    Parker& operator=(const Parker&) = delete;

    /// Suspends: until unpark() or `deadline`. A plain thread blocks.
    /// Errors:   timed_out; operation_canceled if the fiber is asked to stop. An unpark() that comes
    ///           after that is kept for the next park().
    /// Cost:     no system call but what its worker needs to sleep; no allocation.
    [[nodiscard]] Result<void> park(Deadline deadline,
                                    StopRequests stops = StopRequests::obeyed) noexcept {
        return park_for("a Parker", deadline, stops);
    }
    /// The same; `what`, a literal, says in reports what the fiber waits for.
    [[nodiscard]] Result<void> park_for(const char* what, Deadline deadline,
                                        StopRequests stops = StopRequests::obeyed) noexcept;
    /// Ends the park() that waits, or else the next one. Whoever is woken may destroy *this before
    /// this returns.
    /// Cost: no system call unless a worker, or the plain thread, sleeps.
    void unpark() noexcept;

private:
    // A slot; see lib/runtime/waiter.hpp.
    std::atomic<std::uintptr_t> slot_{0};
    // Its detail::IoDeadline.
    alignas(8) std::byte deadline_[80];
};

namespace detail {

/// Tells executions apart: the address of something that belongs to the running fiber or thread only.
[[nodiscard]] const void* this_execution() noexcept;

}  // namespace detail

}  // namespace coir
