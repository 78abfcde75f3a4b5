#include "coir/sync/mutex.hpp"

#include <system_error>
#include <thread>

#include "coir/base/assert.hpp"

namespace coir {
namespace {

constexpr std::uint32_t kLocked = 1;
constexpr std::uint32_t kQueueLocked = 2;
constexpr std::uint32_t kHasWaiters = 4;

// Wake-ups after which somebody else had the mutex again, until a waiter is given it.
constexpr int kPatience = 3;
// Looks at a queue that is in use, a few instructions as a rule, before its user is given the
// processor.
constexpr int kSpins = 64;

struct LockWait : detail::OwnWait {
    bool is_impatient = false;
    bool is_given = false;  // the mutex, by unlock()
};

[[noreturn]] void throw_deadlock() {
    throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                            "coir::Mutex: the caller holds it");
}

}  // namespace

Mutex::~Mutex() {
    COIR_ASSERT(word_.load(std::memory_order_relaxed) == 0);
}

bool Mutex::try_lock() noexcept {
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    while ((word & kLocked) == 0) {
        // Not while the queue is in use: its user stores the word.
        if ((word & kQueueLocked) != 0) {
            std::this_thread::yield();
            word = word_.load(std::memory_order_relaxed);
        } else if (word_.compare_exchange_weak(word, word | kLocked, std::memory_order_acquire,
                                               std::memory_order_relaxed)) {
            owner_.store(detail::this_execution(), std::memory_order_relaxed);
            return true;
        }
    }
    return false;
}

void Mutex::lock() {
    (void)lock(Deadline::never(), StopRequests::ignored);
}

Result<void> Mutex::lock_until(Deadline deadline) {
    return lock(deadline, StopRequests::obeyed);
}

Result<void> Mutex::lock(Deadline deadline, StopRequests stops) {
    const void* const self = detail::this_execution();
    std::uint32_t free = 0;
    if (!word_.compare_exchange_strong(free, kLocked, std::memory_order_acquire,
                                       std::memory_order_relaxed)) [[unlikely]] {
        return lock_slowly(self, deadline, stops);
    }
    owner_.store(self, std::memory_order_relaxed);
    return {};
}

// Sets kQueueLocked; returns the word without it.
std::uint32_t Mutex::lock_queue() noexcept {
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    for (int tries = 0;; ++tries) {
        word &= ~kQueueLocked;
        if (word_.compare_exchange_weak(word, word | kQueueLocked, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
            return word;
        }
        if (tries >= kSpins) {
            std::this_thread::yield();
        }
    }
}

Result<void> Mutex::lock_slowly(const void* self, Deadline deadline, StopRequests stops) {
    if (owner_.load(std::memory_order_relaxed) == self) {
        throw_deadlock();
    }
    LockWait wait;
    for (int wakes = 0;; ++wakes) {
        const std::uint32_t word = lock_queue();
        if ((word & kLocked) == 0) {
            word_.store(word | kLocked, std::memory_order_release);
            break;
        }
        wait.is_impatient = wakes >= kPatience;
        wakes == 0 ? waiters_.push_back(wait) : waiters_.push_front(wait);
        word_.store(kLocked | kHasWaiters, std::memory_order_release);
        if (const auto parked = wait.own.park_for("a mutex", deadline, stops); !parked) {
            const std::uint32_t now = lock_queue();
            const bool gives_up = wait.is_linked;
            if (gives_up) {
                waiters_.remove(wait);
            }
            word_.store((now & kLocked) | (waiters_.empty() ? 0 : kHasWaiters),
                        std::memory_order_release);
            if (gives_up) {
                return parked;
            }
            // unlock() is about to wake us
            (void)wait.own.park(Deadline::never(), StopRequests::ignored);
        }
        if (wait.is_given) {
            break;
        }
    }
    owner_.store(self, std::memory_order_relaxed);
    return {};
}

void Mutex::unlock() noexcept {
    COIR_ASSERT(is_held());
    owner_.store(nullptr, std::memory_order_relaxed);
    std::uint32_t held = kLocked;
    if (!word_.compare_exchange_strong(held, 0, std::memory_order_release,
                                       std::memory_order_relaxed)) [[unlikely]] {
        unlock_slowly();
    }
}

void Mutex::unlock_slowly() noexcept {
    (void)lock_queue();
    auto* const next = static_cast<LockWait*>(waiters_.pop_front());
    const std::uint32_t waiters = waiters_.empty() ? 0 : kHasWaiters;
    const bool is_given = next != nullptr && next->is_impatient;
    if (is_given) {
        next->is_given = true;
    }
    word_.store((is_given ? kLocked : 0) | waiters, std::memory_order_release);
    if (next != nullptr) {
        next->unpark();
    }
}

}  // namespace coir
