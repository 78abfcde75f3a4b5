#include "coir/sync/condition_variable.hpp"

#include "coir/base/assert.hpp"

namespace coir {

using detail::WaitNode;

ConditionVariable::~ConditionVariable() {
    COIR_ASSERT(waiters_.empty());
}

void ConditionVariable::wait(std::unique_lock<Mutex>& lock) {
    (void)wait_until(lock, Deadline::never());
}

bool ConditionVariable::wait_until(std::unique_lock<Mutex>& lock, Deadline deadline) {
    WaitNode node;
    {
        const std::lock_guard list(lock_);
        waiters_.push_back(node);
    }
    lock.unlock();
    bool notified = node.parker.park(deadline).has_value();
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
            (void)node.parker.park(Deadline::never());
            notified = true;
        }
    }
    lock.lock();
    return notified;
}

void ConditionVariable::notify_one() noexcept {
    WaitNode* first;
    {
        const std::lock_guard list(lock_);
        first = waiters_.pop_front();
    }
    if (first != nullptr) {
        first->parker.unpark();
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
