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

namespace coir {

struct SpawnOptions {
    /// For diagnostics; the first 23 bytes are kept.
    std::string_view name = {};
    /// 0 means RuntimeOptions::stack_bytes.
    std::size_t stack_bytes = 0;
    /// The worker on which the fiber starts; -1 means the spawning one, or any.
    int worker = -1;
    /// The fiber stays on its worker and is never stolen.
    bool pinned = false;
};

namespace detail {

class RuntimeCore;

/// One side completes, once; one other side, a fiber or a thread, waits for that.
class Completion final {
public:
    void complete() noexcept;
    void wait() noexcept;
    [[nodiscard]] bool is_complete() const noexcept;

private:
    // See lib/runtime/waiter.hpp. Closed when complete.
    std::atomic<std::uintptr_t> slot_{0};
};

/// What a fiber and its handle share: the outcome, until both have let go.
template <typename T>
class JoinState final {
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
            exception_ = std::current_exception();
        }
    }

    /// The fiber has ended. An exception that nobody can collect ends the program.
    void finish() noexcept {
        if (phase_.exchange(kFinished, std::memory_order_acq_rel) == kDetached) {
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
    void wait() noexcept { completion_.wait(); }
    [[nodiscard]] bool is_done() const noexcept { return completion_.is_complete(); }

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
    static constexpr std::uint32_t kRunning = 0;
    static constexpr std::uint32_t kFinished = 1;
    static constexpr std::uint32_t kDetached = 2;

    void rethrow_unobserved() noexcept {  // noexcept: what is rethrown here ends the program
        if (exception_) {
            std::rethrow_exception(exception_);
        }
    }

    std::atomic<std::uint32_t> shares_{2};
    std::atomic<std::uint32_t> phase_{kRunning};
    Completion completion_;
    std::optional<Stored> value_;
    std::exception_ptr exception_;
};

/// A fiber that has a stack but has not been started: room for its callable on that stack.
struct PreparedFiber {
    void* fiber;
    void* storage;
};

using FiberEntry = void (*)(void* storage) noexcept;

/// `core` may be null: the runtime of the calling fiber. Errors: std::system_error (no runtime, it
/// has stopped, no memory for the stack).
[[nodiscard]] PreparedFiber prepare_fiber(RuntimeCore* core, const SpawnOptions& options,
                                          std::size_t storage_bytes, std::source_location site);
/// Starts the fiber; `entry` runs and destroys what lies in the storage.
void launch_fiber(PreparedFiber prepared, FiberEntry entry) noexcept;
/// Frees a prepared fiber whose callable could not be made.
void discard_fiber(PreparedFiber prepared) noexcept;

template <typename Body>
void start_fiber(RuntimeCore* core, const SpawnOptions& options, std::source_location site,
                 Body&& body) {
    using Stored = std::decay_t<Body>;
    static_assert(alignof(Stored) <= 64, "a fiber's callable is stored with 64-byte alignment");
    const PreparedFiber prepared = prepare_fiber(core, options, sizeof(Stored), site);
    try {
        ::new (prepared.storage) Stored(std::forward<Body>(body));
    } catch (...) {
        discard_fiber(prepared);
        throw;
    }
    launch_fiber(prepared, [](void* storage) noexcept {
        Stored& stored = *std::launder(static_cast<Stored*>(storage));
        stored();
        stored.~Stored();
    });
}

}  // namespace detail

/// The one owner of a fiber's outcome.
///
/// Joins in its destructor (the outcome is then dropped). Movable; empty after join() or detach().
template <typename T>
class [[nodiscard]] FiberHandle final {
public:
    FiberHandle() noexcept = default;
    FiberHandle(FiberHandle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    FiberHandle& operator=(FiberHandle&& other) noexcept {
        if (this != &other) {
            join_and_drop();
            state_ = std::exchange(other.state_, nullptr);
        }
        return *this;
    }
    ~FiberHandle() { join_and_drop(); }

    /// Waits for the fiber; returns its value or rethrows its exception. Its callable has been
    /// destroyed then.
    /// Suspends: until the fiber has ended. A plain thread blocks.
    /// Requires: joinable().
    T join() {
        COIR_CHECK(joinable());
        state_->wait();
        return std::exchange(state_, nullptr)->take();
    }
    /// Lets the fiber go on alone. An exception that leaves it then ends the program.
    /// Requires: joinable().
    void detach() noexcept {
        COIR_CHECK(joinable());
        std::exchange(state_, nullptr)->detach();
    }
    [[nodiscard]] bool joinable() const noexcept { return state_ != nullptr; }
    /// Whether join() would return at once. Requires: joinable().
    [[nodiscard]] bool is_done() const noexcept { return state_->is_done(); }

private:
    template <typename F>
    friend auto detail_make_handle(detail::RuntimeCore*, const SpawnOptions&, F&&,
                                   std::source_location);

    explicit FiberHandle(detail::JoinState<T>* state) noexcept : state_(state) {}
    void join_and_drop() noexcept {
        if (state_ != nullptr) {
            state_->wait();
            std::exchange(state_, nullptr)->release();
        }
    }

    detail::JoinState<T>* state_ = nullptr;
};

template <typename F>
auto detail_make_handle(detail::RuntimeCore* core, const SpawnOptions& options, F&& function,
                        std::source_location site) {
    using T = std::invoke_result_t<std::decay_t<F>&>;
    auto* state = new detail::JoinState<T>;
    try {
        detail::start_fiber(core, options, site,
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
    return FiberHandle<T>(state);
}

namespace detail {

template <typename F>
auto spawn_on(RuntimeCore* core, const SpawnOptions& options, F&& function,
              std::source_location site) {
    return detail_make_handle(core, options, std::forward<F>(function), site);
}

}  // namespace detail

/// Starts `function` as a fiber of the calling fiber's runtime and returns at once.
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
/// that leaves it ends the program.
template <typename F>
void spawn_detached(SpawnOptions options, F&& function,
                    std::source_location site = std::source_location::current()) {
    detail::start_fiber(nullptr, options, site,
                        [function = std::forward<F>(function)]() mutable noexcept { function(); });
}

}  // namespace coir
