#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/this_fiber.hpp"

namespace coir {

namespace detail {

/// A call for the threads of a BlockingPool, and the fiber that waits for it.
class BlockingJob {
public:
    BlockingJob(const BlockingJob&) = delete;
    BlockingJob& operator=(const BlockingJob&) = delete;
    virtual ~BlockingJob() = default;

protected:
    BlockingJob() noexcept = default;

private:
    friend class BlockingJobs;
    friend class BlockingPool;

    enum class State : std::uint8_t { fresh, held_back, queued, taken };

    /// On a thread of the pool.
    virtual void run() noexcept = 0;

    // All but parker_ change under the pool's lock.
    BlockingJob* previous_ = nullptr;
    BlockingJob* next_ = nullptr;
    State state_ = State::fresh;
    std::error_code failure_;            // why it was never run
    std::shared_ptr<BlockingJob> self_;  // the pool's share, if the fiber may leave it behind
    Parker parker_;  // unparked once, when run() has returned or will not be called
};

/// Runs the job on the pool of the calling fiber's runtime. Once it runs, it is waited for.
/// Errors: timed_out, operation_canceled, what pthread_create() says; it has not been run then.
[[nodiscard]] Result<void> run_blocking(BlockingJob& job, Deadline deadline) noexcept;

/// The same for a job that the fiber leaves behind, even if it runs, when it stops waiting. So few of
/// them run at a time that others always find a thread. A plain thread runs it itself, whatever
/// `deadline` says.
/// Errors: as run_blocking(), but the job may be running, and is freed when it has ended.
[[nodiscard]] Result<void> run_abandonable(std::shared_ptr<BlockingJob> job,
                                           Deadline deadline) noexcept;

/// A callable in its caller's frame, and what it returned or threw.
template <typename F>
class BlockingCall final : public BlockingJob {
public:
    using T = std::invoke_result_t<F>;

    explicit BlockingCall(F&& function) noexcept : function_(std::forward<F>(function)) {}

    /// Requires: it has run.
    T take() {
        if (exception_) {
            std::rethrow_exception(std::move(exception_));
        }
        if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(**value_);
        } else if constexpr (!std::is_void_v<T>) {
            return std::move(*value_);
        }
    }

private:
    using Stored =
        std::conditional_t<std::is_void_v<T>, std::monostate,
                           std::conditional_t<std::is_reference_v<T>, std::add_pointer_t<T>, T>>;

    void run() noexcept override {
        try {
            if constexpr (std::is_void_v<T>) {
                std::invoke(std::forward<F>(function_));
            } else if constexpr (std::is_reference_v<T>) {
                auto&& value = std::invoke(std::forward<F>(function_));
                value_.emplace(std::addressof(value));
            } else {
                value_.emplace(std::invoke(std::forward<F>(function_)));
            }
        } catch (...) {
            exception_ = std::current_exception();
        }
    }

    F&& function_;
    std::optional<Stored> value_;
    std::exception_ptr exception_;
};

}  // namespace detail

/// Runs `function` on a thread where it may block, and lets the calling fiber wait; returns its value or
/// rethrows its exception.
///
/// For system calls and libraries that know no fibers: files, compression, databases, getaddrinfo. The
/// threads belong to the runtime, RuntimeOptions::blocking_threads at most; calls beyond that wait for
/// their turn, first come, first served. A plain thread just calls `function`; so does a `function` that
/// calls blocking() in its turn.
///
/// Suspends: until `function` has returned. `start_by`, the fiber's task-wide deadline and a request to stop
///           end the wait only while the call has not begun: `function` may refer to the caller's
///           frame, and nobody can end a system call from outside.
/// Errors:   std::system_error: timed_out, operation_canceled, then `function` has not been called and
///           never will be; resource_unavailable_try_again if there is no thread and none can be started.
/// Threads:  `function` runs on a plain thread: no this_fiber, no thread-locals of the caller. All signals but
///           those of faults are blocked there, and so in a program that it starts by fork() and exec():
///           that would not hear SIGTERM.
/// Cost:     two switches of threads, as to ask one through a condition variable: 45 us where both have
///           fallen asleep; no allocation.
template <typename F>
std::invoke_result_t<F> blocking(F&& function, Deadline start_by = Deadline::never()) {
    if (this_fiber::id() == 0) {
        return std::invoke(std::forward<F>(function));
    }
    detail::BlockingCall<F> call(std::forward<F>(function));
    detail::run_blocking(call, start_by).value();
    return call.take();
}

}  // namespace coir
