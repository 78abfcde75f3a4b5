#include "coir/sync/recursive_mutex.hpp"

#include "coir/base/assert.hpp"

namespace coir {

void RecursiveMutex::lock() {
    if (!mutex_.is_held()) {
        mutex_.lock();
    }
    ++depth_;
}

bool RecursiveMutex::try_lock() noexcept {
    const bool has_it = mutex_.is_held() || mutex_.try_lock();
    if (has_it) {
        ++depth_;
    }
    return has_it;
}

Result<void> RecursiveMutex::lock_until(Deadline deadline) {
    if (!mutex_.is_held()) {
        if (const auto locked = mutex_.lock_until(deadline); !locked) {
            return locked;
        }
    }
    ++depth_;
    return {};
}

void RecursiveMutex::unlock() noexcept {
    COIR_ASSERT(mutex_.is_held());
    if (--depth_ == 0) {
        mutex_.unlock();
    }
}

}  // namespace coir
