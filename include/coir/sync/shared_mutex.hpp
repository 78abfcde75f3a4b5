#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/sync/wait_list.hpp"
#include "coir/sync/waited_word.hpp"

namespace coir {

/// A mutex that many may hold to read or one to write (std::shared_timed_mutex).
///
/// Writers come first: while one waits nobody new gets in to read. Readers who wait are passed over by four
/// writers at most; then all of them get in together. Of two writers the one who has waited longer is first.
/// So nobody waits for ever, and who reads must not lock it again: a writer that came in between would wait
/// for the first lock, and the second one for the writer.
/// It may be destroyed as soon as nobody holds or wants it, also by who has just been woken by unlock().
/// Meets SharedTimedLockable: std::unique_lock and std::shared_lock work, also with deadlines.
/// Threads: fibers of any runtime, and plain threads; who locked it, unlocks it.
/// Cost:    uncontended two locked instructions, no system call, no allocation.
class SharedMutex final {
public:
    SharedMutex() noexcept = default;
    ~SharedMutex() { COIR_ASSERT(word_.value() == 0); }
    SharedMutex(const SharedMutex&) = delete;
    SharedMutex& operator=(const SharedMutex&) = delete;

    /// Suspends: until nobody else holds it. A plain thread blocks. Requests to stop are ignored.
    /// Errors:   std::system_error(resource_deadlock_would_occur) if the caller holds it to write.
    void lock() { (void)lock(Deadline::never(), StopRequests::ignored); }
    /// Never suspends.
    [[nodiscard]] bool try_lock() noexcept;
    /// Suspends: until nobody else holds it, or `deadline`.
    /// Errors:   timed_out, operation_canceled; and as lock().
    [[nodiscard]] Result<void> lock_until(Deadline deadline) {
        return lock(deadline, StopRequests::obeyed);
    }
    /// The same in the standard library's words: false if it is not locked.
    [[nodiscard]] bool try_lock_until(Deadline::Clock::time_point point) {
        return lock_until(Deadline::at(point)).has_value();
    }
    template <typename Rep, typename Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return lock_until(Deadline::after(duration)).has_value();
    }
    /// Requires: the caller holds it to write.
    void unlock() noexcept;

    /// The same for reading.
    /// Errors: std::system_error(resource_deadlock_would_occur) if the caller holds it to write.
    void lock_shared() { (void)lock_shared(Deadline::never(), StopRequests::ignored); }
    [[nodiscard]] bool try_lock_shared() noexcept;
    [[nodiscard]] Result<void> lock_shared_until(Deadline deadline) {
        return lock_shared(deadline, StopRequests::obeyed);
    }
    [[nodiscard]] bool try_lock_shared_until(Deadline::Clock::time_point point) {
        return lock_shared_until(Deadline::at(point)).has_value();
    }
    template <typename Rep, typename Period>
    [[nodiscard]] bool try_lock_shared_for(std::chrono::duration<Rep, Period> duration) {
        return lock_shared_until(Deadline::after(duration)).has_value();
    }
    /// Requires: the caller holds it to read.
    void unlock_shared() noexcept;

private:
    using State = detail::WaitedWord::State;

    [[nodiscard]] Result<void> lock(Deadline deadline, StopRequests stops);
    [[nodiscard]] Result<void> lock_shared(Deadline deadline, StopRequests stops);
    void throw_if_writing(const void* self) const;

    // Under word_.
    [[nodiscard]] bool take(detail::WaitedWord::Value what) noexcept;
    void pass_on(State& state, detail::WakeChain& woken) noexcept;
    void admit_readers(State& state, detail::WakeChain& woken) noexcept;
    [[nodiscard]] bool withdraw(detail::WaitList& list, detail::WaitNode& node) noexcept;
    void unlock_word(State state) noexcept;

    // 1: somebody writes; plus 2 for each reader. Who is taken out of a list holds it already.
    detail::WaitedWord word_{0};
    detail::WaitList writers_;
    detail::WaitList readers_;       // empty unless somebody writes or wants to
    std::uint32_t passed_over_ = 0;  // writers who went before readers_.first()
    // this_execution() of who writes; null in between.
    std::atomic<const void*> writer_{nullptr};
};

using SharedTimedMutex = SharedMutex;

}  // namespace coir
