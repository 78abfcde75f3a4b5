#include "coir/sync/condition_variable.hpp"

#include "coir/base/assert.hpp"

namespace coir {

using detail::WaitNode;

ConditionVariable::~ConditionVariable() {
    COIR_ASSERT(waiters_.empty());
}

void ConditionVariable::wait(std::unique_lock<Mutex>& lock) {
    (void)wait_notified(lock, Deadline::never(), StopRequests::ignored);
}

Result<void> ConditionVariable::wait_until(std::unique_lock<Mutex>& lock, Deadline deadline) {
    return wait_notified(lock, deadline, StopRequests::obeyed);
}

Result<void> ConditionVariable::wait_notified(std::unique_lock<Mutex>& lock, Deadline deadline,
                                              StopRequests stops) {
    detail::OwnWait node;
    {
        const std::lock_guard list(lock_);
        waiters_.push_back(node);
    }
    lock.unlock();
    Result<void> notified = node.own.park_for("a condition", deadline, stops);
    if (!notified) {
        bool is_linked;
        {
            const std::lock_guard list(lock_);
            is_linked = node.is_linked;
            if (is_linked) {
                waiters_.remove(node);
            }
        }
        if (!is_linked) {  // notified in this moment
            (void)node.own.park(Deadline::never(), StopRequests::ignored);
            notified = {};
        }
    }
    lock.lock();
    return notified;
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
    WaitNode* first;
    {
        const std::lock_guard list(lock_);
        first = waiters_.take_all();
    }
    detail::unpark_all(first);
}

}  // namespace coir
