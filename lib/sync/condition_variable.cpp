#include "coir/sync/condition_variable.hpp"

#include "coir/base/assert.hpp"

namespace coir {

using detail::WaitNode;

ConditionVariable::~ConditionVariable() {
    COIR_ASSERT(waiters_.empty());
}

void ConditionVariable::enlist(WaitNode& node) noexcept {
    const std::lock_guard list(lock_);
    waiters_.push_back(node);
}

Result<void> ConditionVariable::await_notice(WaitNode& node, Deadline deadline,
                                             StopRequests stops) noexcept {
    return detail::await_wake(node, "a condition", deadline, stops, [&] {
        const std::lock_guard list(lock_);
        return waiters_.remove_if_linked(node);
    });
}

void ConditionVariable::notify_one() noexcept {
    WaitNode* first;
    {
        const std::lock_guard list(lock_);
        first = waiters_.take_first();
    }
    if (first != nullptr) {
        first->unpark();
    }
}

void ConditionVariable::notify_all() noexcept {
    detail::WakeChain woken;
    {
        const std::lock_guard list(lock_);
        waiters_.take_all(woken);
    }
    woken.wake();
}

}  // namespace coir
