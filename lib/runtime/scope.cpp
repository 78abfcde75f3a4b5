#include "coir/runtime/scope.hpp"

#include <mutex>
#include <system_error>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "runtime/fiber_control.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {
namespace {

bool says_canceled(const std::exception_ptr& exception) noexcept {
    try {
        std::rethrow_exception(exception);
    } catch (const std::system_error& error) {
        return error.code() == std::errc::operation_canceled;
    } catch (...) {
        return false;
    }
}

RuntimeCore* own_core() {
    Worker* const here = Worker::current();
    if (here == nullptr) {
        throw std::system_error(Errc::not_a_fiber, "coir::Scope");
    }
    return &here->core();
}

}  // namespace

ScopeState::ScopeState(RuntimeCore* core) : core_(core != nullptr ? core : own_core()) {
    Worker* const here = Worker::current();
    if (here == nullptr) {
        return;
    }
    // A shielded fiber's scope is shielded from what the fiber is shielded from.
    if (FiberControl& fiber = here->running_fiber(); fiber.task.shields == 0) {
        owner_ = &fiber;
        fiber.stop.add_scope(*this);
    }
}

ScopeState::~ScopeState() {
    if (owner_ != nullptr) {
        owner_->stop.remove_scope(*this);
    }
}

void ScopeState::add(FiberControl& fiber) noexcept {
    fiber.scope = this;
    const std::lock_guard lock(lock_);
    fiber.next_in_scope = fibers_;
    if (fibers_ != nullptr) {
        fibers_->previous_in_scope = &fiber;
    }
    fibers_ = &fiber;
    if (stopped_) {
        (void)fiber.stop.claim();  // it has not begun: there is nothing to end
    }
}

void ScopeState::remove(FiberControl& fiber) noexcept {
    const std::lock_guard lock(lock_);
    FiberControl* const previous = fiber.previous_in_scope;
    (previous != nullptr ? previous->next_in_scope : fibers_) = fiber.next_in_scope;
    if (fiber.next_in_scope != nullptr) {
        fiber.next_in_scope->previous_in_scope = previous;
    }
    if (fibers_ == nullptr && joiner_waits_) {
        joiner_waits_ = false;
        empty_.unpark();  // under the lock: the joiner takes it once more before the scope goes
    }
}

void ScopeState::fail(const FiberControl& fiber, const std::exception_ptr& exception) noexcept {
    if (fiber.stop.is_requested() && says_canceled(exception)) {
        return;
    }
    {
        const std::lock_guard lock(lock_);
        if (failures_++ == 0) {
            first_exception_ = exception;
        }
    }
    request_stop();
}

void ScopeState::claim_fibers(FiberControl*& next) noexcept {
    const std::lock_guard lock(lock_);
    stopped_ = true;
    for (FiberControl* fiber = fibers_; fiber != nullptr; fiber = fiber->next_in_scope) {
        if (fiber->stop.claim()) {
            fiber->stop.pin();
            fiber->stop.next_to_stop = std::exchange(next, fiber);
        }
    }
}

void ScopeState::request_stop() noexcept {
    FiberControl* claimed = nullptr;
    claim_fibers(claimed);
    request_stop_of_all(claimed);
}

Result<void> ScopeState::wait(Deadline deadline, StopRequests stops) noexcept {
    for (;;) {
        {
            const std::lock_guard lock(lock_);
            if (fibers_ == nullptr) {
                joiner_waits_ = false;
                return {};
            }
            joiner_waits_ = true;
        }
        if (auto parked = empty_.park_for("the fibers of a scope", deadline, stops); !parked) {
            const std::lock_guard lock(lock_);
            if (fibers_ == nullptr) {
                joiner_waits_ = false;
                return {};
            }
            joiner_waits_ = false;
            return parked;
        }
    }
}

std::exception_ptr ScopeState::take_exception() noexcept {
    const std::lock_guard lock(lock_);
    failures_ = 0;
    return std::exchange(first_exception_, nullptr);
}

std::size_t ScopeState::failures() const noexcept {
    const std::lock_guard lock(lock_);
    return failures_;
}

bool ScopeState::is_stopped() const noexcept {
    const std::lock_guard lock(lock_);
    return stopped_;
}

}  // namespace coir::detail
