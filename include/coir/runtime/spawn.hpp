#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/stop_requests.hpp"

namespace coir {

struct SpawnOptions {
    /// For diagnostics; the first 23 bytes are kept.
    std::string_view name = {};
    /// 0 means RuntimeOptions::stack_bytes.
    std::size_t stack_bytes = 0;
    /// The worker on which the fiber starts; -1 means the spawning one, or any.
    /// Requires: less than the number of workers.
    int worker = -1;
    /// The fiber stays on its worker and is never stolen.
    /// Requires: `worker` is given, or the spawning fiber is one of the same runtime.
    bool pinned = false;
};

namespace detail {

class RuntimeCore;
class FiberControl;
class ScopeState;
class JoinArmBase;

/// One side completes, once; one other side, a fiber or a thread, waits for that.
class Completion final {
public:
    void complete() noexcept;
    [[nodiscard]] Result<void> wait(Deadline deadline, StopRequests stops) noexcept;
    [[nodiscard]] bool is_complete() const noexcept;

private:
    friend class JoinArmBase;

    // See lib/runtime/waiter.hpp. Closed when complete.
    std::atomic<std::uintptr_t> slot_{0};
};

/// The part of a JoinState that does not depend on the type.
class JoinStateBase {
public:
    JoinStateBase(const JoinStateBase&) = delete;
    JoinStateBase& operator=(const JoinStateBase&) = delete;

    [[nodiscard]] Result<void> wait(Deadline deadline, StopRequests stops) noexcept {
        return completion_.wait(deadline, stops);
    }
    [[nodiscard]] bool is_done() const noexcept { return completion_.is_complete(); }
    [[nodiscard]] Completion& completion() noexcept { return completion_; }
    /// Does nothing if the fiber has ended. Threads: any that has a share.
    void request_stop() noexcept;

    /// Before the fiber is started.
    void belongs_to(FiberControl* fiber, ScopeState* scope) noexcept {
        fiber_ = fiber;
        scope_ = scope;
    }

protected:
    static constexpr std::uint32_t kRunning = 0;
    static constexpr std::uint32_t kFinished = 1;
    static constexpr std::uint32_t kDetached = 2;

    JoinStateBase() noexcept = default;
    ~JoinStateBase() = default;

    /// The exception that is being handled has left the fiber.
    void keep_exception() noexcept;
    /// The first part of the end: true if the fiber is detached. No request to stop reaches it after that.
    [[nodiscard]] bool end_run() noexcept;

    std::atomic<std::uint32_t> shares_{2};
    std::atomic<std::uint32_t> phase_{kRunning};
    // Calls of request_stop() that look at the fiber.
    std::atomic<std::uint32_t> stoppers_{0};
    Completion completion_;
    FiberControl* fiber_ = nullptr;  // valid while kRunning, or while stoppers_ is not 0
    ScopeState* scope_ = nullptr;
    std::exception_ptr exception_;
};

/// What a fiber and its handle share: the outcome, until both have let go.
template <typename T>
class JoinState final : public JoinStateBase {
public:
    using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

    template <typename F>
    void run(F& function) noexcept {
        try {
            if constexpr (std::is_void_v<T>) {
                std::invoke(function);
                value_.emplace();
            } else {
                value_.emplace(std::invoke(function));
            }
        } catch (...) {
            keep_exception();
        }
    }

    /// The fiber has ended. An exception that nobody can collect ends the program.
    void finish() noexcept {
        if (end_run()) {
            rethrow_unobserved();
        }
        completion_.complete();
        release();
    }
    void detach() noexcept {
        if (phase_.exchange(kDetached, std::memory_order_acq_rel) == kFinished) {
            rethrow_unobserved();
        }
        release();
    }

    /// Requires: wait() has returned. Gives up the handle's share.
    T take() {
        struct Release {
            JoinState* state;
            ~Release() { state->release(); }
        } guard{this};
        if (exception_) {
            std::rethrow_exception(std::exchange(exception_, nullptr));
        }
        if constexpr (!std::is_void_v<T>) {
            return std::move(*value_);
        }
    }
    void release() noexcept {
        if (shares_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

private:
    void rethrow_unobserved() noexcept {  // noexcept: what is rethrown here ends the program
        if (exception_) {
            std::rethrow_exception(exception_);
        }
    }

    std::optional<Stored> value_;
};

/// What a new fiber belongs to.
struct SpawnPlace {
    RuntimeCore* core = nullptr;  // null: the runtime of the calling fiber
    ScopeState* scope = nullptr;
    /// Whether it is subject to the spawning fiber's task-wide deadline.
    bool inherits_deadline = true;
};

/// A fiber that has a stack but has not been started: room for its callable on that stack.
struct PreparedFiber {
    FiberControl* fiber;
    void* storage;
};

using FiberEntry = void (*)(void* storage) noexcept;

/// Errors: std::system_error (no runtime, it has stopped, no memory for the stack).
[[nodiscard]] PreparedFiber prepare_fiber(const SpawnPlace& place, const SpawnOptions& options,
                                          std::size_t storage_bytes, std::source_location site);
/// Starts the fiber; `entry` runs and destroys what lies in the storage.
void launch_fiber(PreparedFiber prepared, FiberEntry entry) noexcept;
/// Frees a prepared fiber whose callable could not be made.
void discard_fiber(PreparedFiber prepared) noexcept;

/// `state`, if there is one, is told which fiber it belongs to.
template <typename Body>
void start_fiber(const SpawnPlace& place, const SpawnOptions& options, std::source_location site,
                 JoinStateBase* state, Body&& body) {
    using Stored = std::decay_t<Body>;
    static_assert(alignof(Stored) <= 64, "a fiber's callable is stored with 64-byte alignment");
    const PreparedFiber prepared = prepare_fiber(place, options, sizeof(Stored), site);
    try {
        ::new (prepared.storage) Stored(std::forward<Body>(body));
    } catch (...) {
        discard_fiber(prepared);
        throw;
    }
    if (state != nullptr) {
        state->belongs_to(prepared.fiber, place.scope);
    }
    launch_fiber(prepared, [](void* storage) noexcept {
        Stored& stored = *std::launder(static_cast<Stored*>(storage));
        stored();
        stored.~Stored();
    });
}

/// Starts a fiber whose outcome somebody may collect; the caller gets one share of it.
template <typename T, typename F>
[[nodiscard]] JoinState<T>* start_joinable(const SpawnPlace& place, const SpawnOptions& options,
                                           F&& function, std::source_location site) {
    auto* state = new JoinState<T>;
    try {
        start_fiber(place, options, site, state,
                    [state, function = std::optional<std::decay_t<F>>(
                                std::forward<F>(function))]() mutable noexcept {
                        state->run(*function);
                        function.reset();  // join() promises that nothing of it is left
                        state->finish();
                    });
    } catch (...) {
        delete state;
        throw;
    }
    return state;
}

/// What the kinds of handles have in common.
template <typename T>
class HandleBase {
public:
    HandleBase(const HandleBase&) = delete;
    HandleBase& operator=(const HandleBase&) = delete;

    /// Waits for the fiber; returns its value or rethrows its exception. Its callable has been
    /// destroyed then.
    /// Suspends: until the fiber has ended. A plain thread blocks.
    /// Errors:   also std::system_error: operation_canceled, timed_out if the waiting fiber is asked to
    ///           stop, or its task-wide deadline passes, first; the handle can still be joined then.
    /// Requires: joinable().
    T join() {
        COIR_CHECK(joinable());
        state_->wait(Deadline::never(), StopRequests::obeyed).value();
        return std::exchange(state_, nullptr)->take();
    }
    /// Waits for the fiber, and leaves its outcome to join().
    /// Suspends: until it has ended, or `deadline`. Errors: timed_out, operation_canceled.
    /// Requires: joinable().
    [[nodiscard]] Result<void> wait(Deadline deadline) noexcept {
        COIR_CHECK(joinable());
        return state_->wait(deadline, StopRequests::obeyed);
    }
    /// Asks the fiber to stop: its waits, and those of the fibers in its scopes, end with
    /// operation_canceled from now on. It decides itself when to end. Threads: any that may use the handle.
    /// Requires: joinable().
    void request_stop() noexcept {
        COIR_CHECK(joinable());
        state_->request_stop();
    }

    [[nodiscard]] bool joinable() const noexcept { return state_ != nullptr; }
    /// Whether join() would return at once. Requires: joinable().
    [[nodiscard]] bool is_done() const noexcept {
        COIR_CHECK(joinable());
        return state_->is_done();
    }

    /// For select().
    [[nodiscard]] detail::Completion& completion() noexcept {
        COIR_CHECK(joinable());
        return state_->completion();
    }

protected:
    HandleBase() noexcept = default;
    explicit HandleBase(JoinState<T>* state) noexcept : state_(state) {}
    HandleBase(HandleBase&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    /// Requires: !joinable().
    HandleBase& operator=(HandleBase&& other) noexcept {
        state_ = std::exchange(other.state_, nullptr);
        return *this;
    }
    ~HandleBase() = default;

    void let_go() noexcept {
        if (state_ != nullptr) {
            std::exchange(state_, nullptr)->release();
        }
    }

    JoinState<T>* state_ = nullptr;
};

}  // namespace detail

/// The one owner of a fiber's outcome.
///
/// Its destructor asks the fiber to stop and waits for it (the outcome is then dropped), so that what the
/// fiber refers to outlives it. Movable; empty after join() or detach().
template <typename T>
class [[nodiscard]] FiberHandle final : public detail::HandleBase<T> {
public:
    FiberHandle() noexcept = default;
    explicit FiberHandle(detail::JoinState<T>* state) noexcept : detail::HandleBase<T>(state) {}
    FiberHandle(FiberHandle&&) noexcept = default;
    FiberHandle& operator=(FiberHandle&& other) noexcept {
        if (this != &other) {
            stop_and_drop();
            detail::HandleBase<T>::operator=(std::move(other));
        }
        return *this;
    }
    /// Suspends: until the fiber has ended, if joinable(). Requests to stop are ignored meanwhile.
    ~FiberHandle() { stop_and_drop(); }

    /// Lets the fiber go on alone. An exception that leaves it then ends the program.
    /// Requires: joinable().
    void detach() noexcept {
        COIR_CHECK(this->joinable());
        std::exchange(this->state_, nullptr)->detach();
    }

private:
    void stop_and_drop() noexcept {
        if (this->joinable()) {
            this->state_->request_stop();
            (void)this->state_->wait(Deadline::never(), StopRequests::ignored);
            this->let_go();
        }
    }
};

namespace detail {

template <typename F>
auto spawn_on(RuntimeCore* core, const SpawnOptions& options, F&& function,
              std::source_location site) {
    using T = std::invoke_result_t<std::decay_t<F>&>;
    return FiberHandle<T>(
        start_joinable<T>({.core = core}, options, std::forward<F>(function), site));
}

}  // namespace detail

/// Starts `function` as a fiber of the calling fiber's runtime and returns at once. It inherits the task-wide
/// deadline and the context values of the caller.
///
/// Errors:  std::system_error: not_a_fiber outside a runtime's fibers, not_enough_memory for a
///          stack.
/// Threads: the fiber may run on any worker, also before spawn() returns.
/// Cost:    one allocation and no system call, unless a worker sleeps and is needed.
template <typename F>
auto spawn(F&& function, std::source_location site = std::source_location::current()) {
    return detail::spawn_on(nullptr, SpawnOptions{}, std::forward<F>(function), site);
}
template <typename F>
auto spawn(SpawnOptions options, F&& function,
           std::source_location site = std::source_location::current()) {
    return detail::spawn_on(nullptr, options, std::forward<F>(function), site);
}

/// Like spawn(...).detach(), without the allocation: `function` returns nothing, and an exception
/// that leaves it ends the program. It does not inherit the task-wide deadline.
template <typename F>
void spawn_detached(SpawnOptions options, F&& function,
                    std::source_location site = std::source_location::current()) {
    detail::start_fiber({.inherits_deadline = false}, options, site, nullptr,
                        [function = std::forward<F>(function)]() mutable noexcept { function(); });
}

}  // namespace coir
