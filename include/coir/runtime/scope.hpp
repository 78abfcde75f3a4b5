#pragma once

#include <cstddef>
#include <exception>
#include <source_location>
#include <type_traits>
#include <utility>

#include "coir/base/spin_lock.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"

namespace coir {

namespace detail {

class FiberControl;

/// What a Scope and its fibers share. It lies in the Scope, which outlives them.
class ScopeState final {
public:
    /// Of the calling fiber, if `core` is null.
    explicit ScopeState(RuntimeCore* core);
    /// Requires: no fiber is left.
    ~ScopeState();
    ScopeState(const ScopeState&) = delete;
    ScopeState& operator=(const ScopeState&) = delete;

    void add(FiberControl& fiber) noexcept;
    /// The fiber's last word to its scope.
    void remove(FiberControl& fiber) noexcept;
    /// `exception` has left `fiber`, which is the calling one.
    void fail(const FiberControl& fiber, const std::exception_ptr& exception) noexcept;

    void request_stop() noexcept;
    /// Claims and pins all fibers, and adds them to a chain for request_stop_of_all().
    void claim_fibers(FiberControl*& next) noexcept;

    [[nodiscard]] Result<void> wait(Deadline deadline, StopRequests stops) noexcept;
    [[nodiscard]] std::exception_ptr take_exception() noexcept;
    [[nodiscard]] std::size_t failures() const noexcept;
    [[nodiscard]] bool is_stopped() const noexcept;
    [[nodiscard]] RuntimeCore* core() const noexcept { return core_; }

private:
    friend class StopState;

    RuntimeCore* const core_;
    FiberControl* owner_ = nullptr;
    // The list of the owner's scopes; under the owner's lock.
    ScopeState* next_of_owner_ = nullptr;
    ScopeState* previous_of_owner_ = nullptr;

    mutable SpinLock lock_;  // protects all that follows
    FiberControl* fibers_ = nullptr;
    bool stopped_ = false;
    bool joiner_waits_ = false;
    std::exception_ptr first_exception_;
    std::size_t failures_ = 0;
    Parker empty_;
};

}  // namespace detail

/// A handle of a fiber that a Scope owns: it can be joined for its value, and let go of.
template <typename T>
class ScopedHandle final : public detail::HandleBase<T> {
public:
    ScopedHandle() noexcept = default;
    explicit ScopedHandle(detail::JoinState<T>* state) noexcept : detail::HandleBase<T>(state) {}
    ScopedHandle(ScopedHandle&&) noexcept = default;
    ScopedHandle& operator=(ScopedHandle&& other) noexcept {
        if (this != &other) {
            this->let_go();
            detail::HandleBase<T>::operator=(std::move(other));
        }
        return *this;
    }
    /// The fiber goes on; its scope waits for it.
    ~ScopedHandle() { this->let_go(); }
};

/// Fibers that end before it does (structured concurrency).
///
/// If one of them fails by an exception, the others are asked to stop, and join() rethrows it. If the
/// scope is left without a join(), by an exception for one, they are asked to stop and waited for. A
/// request to stop the fiber that made the scope reaches its fibers too, and theirs.
///
/// Threads: made, joined and destroyed by one fiber, or by a plain thread if a Runtime is given. Others,
///          plain threads too, may spawn() into it while one of its fibers is alive, and request_stop().
/// Cost:    no allocation of its own.
class Scope final {
public:
    /// Errors: std::system_error(not_a_fiber) outside a runtime's fibers.
    Scope() : state_(nullptr) {}
    explicit Scope(Runtime& runtime) : state_(runtime.core_.get()) {}
    /// Asks the fibers to stop and waits for them; their failures are dropped.
    /// Suspends: until all have ended. Requests to stop are ignored: they have been passed on.
    ~Scope() {
        state_.request_stop();
        (void)state_.wait(Deadline::never(), StopRequests::ignored);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    /// Starts a fiber of this scope. It begins with stop_requested(), if the scope has been stopped.
    /// Errors: as coir::spawn().
    template <typename F>
    auto spawn(F&& function, std::source_location site = std::source_location::current()) {
        return spawn(SpawnOptions{}, std::forward<F>(function), site);
    }
    template <typename F>
    auto spawn(SpawnOptions options, F&& function,
               std::source_location site = std::source_location::current()) {
        using T = std::invoke_result_t<std::decay_t<F>&>;
        return ScopedHandle<T>(detail::start_joinable<T>({state_.core(), &state_}, options,
                                                         std::forward<F>(function), site));
    }

    /// Waits for all fibers, also for those that are spawned meanwhile; then rethrows the first exception
    /// of theirs. (One that a fiber ends with to say operation_canceled, after it has been asked to stop, is
    /// none.) The scope can be used again after it; but what has been stopped, by a failure too, stays so.
    /// Suspends: until all have ended.
    /// Errors:   std::system_error: operation_canceled, timed_out if the waiting fiber is to stop, or its
    ///           task-wide deadline passes, first.
    void join() {
        state_.wait(Deadline::never(), StopRequests::obeyed).value();
        rethrow_failure();
    }
    /// Waits for all fibers, and leaves their exceptions to join().
    /// Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait(Deadline deadline) noexcept {
        return state_.wait(deadline, StopRequests::obeyed);
    }

    /// Asks all fibers to stop, and those that are spawned from now on. Threads: any, while *this lives.
    void request_stop() noexcept { state_.request_stop(); }
    [[nodiscard]] bool stop_requested() const noexcept { return state_.is_stopped(); }

    /// Fibers that have failed since the last join(): the first exception is kept, the others are counted.
    [[nodiscard]] std::size_t failures() const noexcept { return state_.failures(); }

private:
    template <typename F>
    friend auto scope(F&& body) -> std::invoke_result_t<F, Scope&>;

    /// Rethrows the first exception of its fibers, if there is one.
    void rethrow_failure() {
        if (const std::exception_ptr exception = state_.take_exception()) {
            std::rethrow_exception(exception);
        }
    }

    detail::ScopeState state_;
};

/// Calls `body` with a new Scope and joins it; returns what `body` returned.
///
/// Whatever fails first, `body` or a fiber, stops the fibers that are left; all have ended when its exception
/// is rethrown. `body` itself is not asked to stop: what it waits for must end when a fiber fails.
template <typename F>
auto scope(F&& body) -> std::invoke_result_t<F, Scope&> {
    Scope scope;
    try {
        if constexpr (std::is_void_v<std::invoke_result_t<F, Scope&>>) {
            std::forward<F>(body)(scope);
            scope.join();
        } else {
            decltype(auto) value = std::forward<F>(body)(scope);
            scope.join();
            return value;
        }
    } catch (...) {
        scope.rethrow_failure();  // the cause; what `body` made of it is the consequence
        throw;
    }
}

}  // namespace coir
