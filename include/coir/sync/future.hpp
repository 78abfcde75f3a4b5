#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/sync/event.hpp"

namespace coir {

namespace detail {

enum class FutureFault : std::uint8_t { no_state, retrieved, satisfied };

[[noreturn]] void throw_future_error(FutureFault fault);
[[nodiscard]] std::exception_ptr broken_promise();

/// What a promise and its futures share.
template <typename T>
class FutureState final {
public:
    using Stored = std::conditional_t<
        std::is_void_v<T>, std::monostate,
        std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

    /// Requires: nothing was set, else throws std::future_error.
    template <typename... Args>
    void set_value(Args&&... args) {
        Claim claim(*this);
        value_.emplace(std::forward<Args>(args)...);
        claim.keep();
        ready_.set();  // the last touch: who sees it may destroy the promise
    }
    void set_exception(std::exception_ptr exception) {
        COIR_CHECK(exception != nullptr);
        Claim claim(*this);
        exception_ = std::move(exception);
        claim.keep();
        ready_.set();
    }
    [[nodiscard]] bool is_claimed() const noexcept {
        return claimed_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] Event& ready() noexcept { return ready_; }
    /// Requires: ready.
    [[nodiscard]] Stored& stored() {
        if (exception_) {
            std::rethrow_exception(exception_);
        }
        return *value_;
    }

    void share() noexcept { shares_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (shares_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

private:
    /// One sets the outcome; if its copy throws, another may.
    struct Claim {
        explicit Claim(FutureState& its_state) : state(&its_state) {
            if (state->claimed_.exchange(true, std::memory_order_acq_rel)) {
                throw_future_error(FutureFault::satisfied);
            }
        }
        ~Claim() {
            if (state != nullptr) {
                state->claimed_.store(false, std::memory_order_release);
            }
        }
        void keep() noexcept { state = nullptr; }
        FutureState* state;
    };

    std::atomic<std::uint32_t> shares_{1};
    std::atomic<bool> claimed_{false};
    std::optional<Stored> value_;
    std::exception_ptr exception_;
    Event ready_;
};

/// One share of a FutureState, or none.
template <typename T>
class FutureShare {
public:
    FutureShare() noexcept = default;
    /// Takes over a share.
    explicit FutureShare(FutureState<T>* state) noexcept : state_(state) {}
    FutureShare(const FutureShare& other) noexcept : state_(other.state_) {
        if (state_ != nullptr) {
            state_->share();
        }
    }
    FutureShare(FutureShare&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    FutureShare& operator=(FutureShare other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~FutureShare() {
        if (state_ != nullptr) {
            state_->release();
        }
    }

    [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }
    /// Errors: std::future_error(no_state).
    [[nodiscard]] FutureState<T>& operator*() const {
        if (state_ == nullptr) {
            throw_future_error(FutureFault::no_state);
        }
        return *state_;
    }
    FutureState<T>* operator->() const { return &**this; }

private:
    FutureState<T>* state_ = nullptr;
};

template <typename T>
class FutureBase {
public:
    /// Whether it has an outcome to wait for.
    [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(share_); }
    /// Errors: std::future_error(no_state), like all that follow.
    [[nodiscard]] bool is_ready() const { return share_->ready().is_set(); }
    /// Suspends: until there is an outcome. A plain thread blocks. Requests to stop are ignored.
    void wait() const { share_->ready().wait(); }
    /// Suspends: until there is an outcome, or `deadline`. Errors: timed_out, operation_canceled.
    [[nodiscard]] Result<void> wait_until(Deadline deadline) const {
        return share_->ready().wait_until(deadline);
    }
    /// For select().
    [[nodiscard]] Event& ready() const { return share_->ready(); }

protected:
    FutureBase() noexcept = default;
    explicit FutureBase(FutureShare<T> share) noexcept : share_(std::move(share)) {}
    FutureBase(const FutureBase&) noexcept = default;
    FutureBase(FutureBase&&) noexcept = default;
    FutureBase& operator=(const FutureBase&) noexcept = default;
    FutureBase& operator=(FutureBase&&) noexcept = default;
    ~FutureBase() = default;

    FutureShare<T> share_;
};

}  // namespace detail

/// The outcome of something, for as many as want it (std::shared_future). A copy costs one locked instruction.
/// Threads: several, each with a copy of its own.
template <typename T>
class SharedFuture final : public detail::FutureBase<T> {
public:
    SharedFuture() noexcept = default;

    /// Waits for the outcome: the value, or the exception, which is rethrown.
    /// Suspends: until it is there.
    /// Errors:   also std::system_error: operation_canceled, timed_out if the fiber is to stop, or its task-wide
    ///           deadline passes, first.
    decltype(auto) get() const {
        this->wait_until(Deadline::never()).value();
        if constexpr (std::is_void_v<T>) {
            (void)this->share_->stored();
        } else if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(*this->share_->stored());
        } else {
            return static_cast<const T&>(this->share_->stored());
        }
    }

private:
    template <typename>
    friend class Future;
    explicit SharedFuture(detail::FutureShare<T> share) noexcept
        : detail::FutureBase<T>(std::move(share)) {}
};

/// The outcome of something, for one (std::future). Unlike std::async's, its destructor does not wait.
template <typename T>
class Future final : public detail::FutureBase<T> {
public:
    Future() noexcept = default;
    Future(Future&&) noexcept = default;
    Future& operator=(Future&&) noexcept = default;

    /// Waits for the outcome and takes it: the value, or the exception, which is rethrown. Not valid() then.
    /// Suspends: until it is there.
    /// Errors:   also std::system_error: operation_canceled, timed_out if the fiber is to stop, or its task-wide
    ///           deadline passes, first; it is valid() still. std::future_error: broken_promise.
    T get() {
        this->wait_until(Deadline::never()).value();
        const auto share = std::move(this->share_);
        if constexpr (std::is_void_v<T>) {
            (void)share->stored();
        } else if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(*share->stored());
        } else {
            return std::move(share->stored());
        }
    }
    /// Not valid() then.
    [[nodiscard]] SharedFuture<T> share() noexcept {
        return SharedFuture<T>(std::move(this->share_));
    }

private:
    template <typename>
    friend class Promise;
    explicit Future(detail::FutureShare<T> share) noexcept
        : detail::FutureBase<T>(std::move(share)) {}
};

/// Where somebody says what a Future will have (std::promise). One that goes without having said it leaves
/// std::future_error(broken_promise).
///
/// Threads: promise and future may be with different fibers of any runtime, and plain threads. Each may be
///          destroyed at any time.
/// Cost:    one allocation, in the constructor.
template <typename T>
class Promise final {
public:
    Promise() : share_(new detail::FutureState<T>) {}
    Promise(Promise&&) noexcept = default;
    Promise& operator=(Promise&& other) noexcept {
        if (this != &other) {
            Promise old(std::move(*this));
            share_ = std::move(other.share_);
            is_retrieved_ = other.is_retrieved_;
        }
        return *this;
    }
    ~Promise() {
        if (share_ && !share_->is_claimed()) {
            share_->set_exception(detail::broken_promise());
        }
    }

    /// Errors: std::future_error: future_already_retrieved, no_state.
    [[nodiscard]] Future<T> get_future() {
        auto share = share_;
        (void)*share;
        if (std::exchange(is_retrieved_, true)) {
            detail::throw_future_error(detail::FutureFault::retrieved);
        }
        return Future<T>(std::move(share));
    }

    /// Errors: std::future_error: promise_already_satisfied, no_state; what the copy of the value throws,
    ///         after which it can be tried again.
    void set_value() requires std::is_void_v<T> { share_->set_value(); }
    template <typename U = T>
    requires(!std::is_void_v<T> && !std::is_reference_v<T> &&
             std::is_constructible_v<T, U&&>) void set_value(U&& value) {
        share_->set_value(std::forward<U>(value));
    }
    template <typename U = T>
    requires std::is_lvalue_reference_v<U>
    void set_value(std::type_identity_t<U> value) { share_->set_value(&value); }
    /// Errors: std::future_error: promise_already_satisfied, no_state. Requires: `exception` is not null, in
    /// all builds.
    void set_exception(std::exception_ptr exception) {
        share_->set_exception(std::move(exception));
    }

private:
    detail::FutureShare<T> share_;
    bool is_retrieved_ = false;
};

}  // namespace coir
