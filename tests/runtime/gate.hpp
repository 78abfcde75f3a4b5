#pragma once

#include <condition_variable>
#include <mutex>

#include "support/patience.hpp"

namespace coir::test {

/// Holds plain threads until it is opened. Not for fibers to wait at.
class Gate final {
public:
    void open() {
        const std::lock_guard lock(mutex_);
        is_open_ = true;
        opened_.notify_all();
    }
    /// False if nobody has opened it in good time.
    [[nodiscard]] bool wait() {
        std::unique_lock lock(mutex_);
        return opened_.wait_for(lock, kPatience, [this] { return is_open_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable opened_;
    bool is_open_ = false;
};

}  // namespace coir::test
