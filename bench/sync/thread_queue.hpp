#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

namespace coir::bench {

/// What threads would use where fibers have a channel.
class ThreadQueue final {
public:
    void push(std::int64_t value) {
        {
            const std::lock_guard lock(mutex_);
            values_.push_back(value);
        }
        changed_.notify_one();
    }
    std::int64_t pop() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !values_.empty(); });
        return take_front();
    }
    /// Nothing if the time has passed.
    std::optional<std::int64_t> pop_for(std::chrono::seconds time) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, time, [this] { return !values_.empty(); })) {
            return std::nullopt;
        }
        return take_front();
    }

private:
    std::int64_t take_front() {
        const std::int64_t value = values_.front();
        values_.pop_front();
        return value;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::int64_t> values_;
};

}  // namespace coir::bench
