#pragma once

#include <atomic>
#include <thread>

namespace coir::detail {

/// For sections of a few instructions that another thread hardly ever enters.
class SpinLock final {
public:
    void lock() noexcept {
        for (unsigned tries = 0; locked_.exchange(true, std::memory_order_acquire); ++tries) {
            // The holder may have been preempted: let it run.
            if (tries >= kSpins) {
                std::this_thread::yield();
            }
        }
    }
    void unlock() noexcept { locked_.store(false, std::memory_order_release); }

private:
    static constexpr unsigned kSpins = 64;

    std::atomic<bool> locked_{false};
};

}  // namespace coir::detail
