#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/error.hpp"
#include "coir/base/result.hpp"
#include "coir/sync/condition_variable.hpp"
#include "coir/sync/mutex.hpp"

namespace coir {

/// A bounded queue between fibers: many senders, many receivers, first in, first out.
///
/// After close() nothing more goes in, and what is in can still be received.
/// Threads: fibers of any runtime, and plain threads.
template <typename T>
class Channel final {
public:
    /// Requires: capacity > 0.
    explicit Channel(std::size_t capacity) : slots_(capacity) { COIR_CHECK(capacity > 0); }

    /// Suspends: while the channel is full. Errors: timed_out, operation_canceled, channel_closed;
    /// `value` is as it was then.
    [[nodiscard]] Result<void> send(T&& value, Deadline deadline) {
        return put(std::move(value), deadline);
    }
    [[nodiscard]] Result<void> send(const T& value, Deadline deadline) {
        return put(value, deadline);
    }

    /// Suspends: while the channel is empty and open. Errors: timed_out, operation_canceled; channel_closed once it is
    /// closed and empty.
    [[nodiscard]] Result<T> receive(Deadline deadline) {
        std::unique_lock lock(mutex_);
        if (auto waited =
                not_empty_.wait_until(lock, deadline, [this] { return closed_ || size_ != 0; });
            !waited) {
            return waited.error();
        }
        if (size_ == 0) {
            return Errc::channel_closed;
        }
        Result<T> value(*std::move(slots_[first_]));
        slots_[first_].reset();
        first_ = (first_ + 1) % slots_.size();
        --size_;
        not_full_.notify_one();
        return value;
    }

    /// Wakes everybody who waits.
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        not_empty_.notify_all();
        not_full_.notify_all();
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size(); }

private:
    [[nodiscard]] bool is_full() const noexcept { return size_ == slots_.size(); }

    // Notifies while it holds the mutex: as soon as it does not, the other side may have got what it
    // waited for, and destroy the channel.
    template <typename U>
    [[nodiscard]] Result<void> put(U&& value, Deadline deadline) {
        std::unique_lock lock(mutex_);
        if (auto waited =
                not_full_.wait_until(lock, deadline, [this] { return closed_ || !is_full(); });
            !waited) {
            return waited;
        }
        if (closed_) {
            return Errc::channel_closed;
        }
        try {
            slots_[(first_ + size_) % slots_.size()].emplace(std::forward<U>(value));
        } catch (...) {
            not_full_.notify_one();  // the room that this sender was woken for is another's
            throw;
        }
        ++size_;
        not_empty_.notify_one();
        return {};
    }

    Mutex mutex_;
    ConditionVariable not_empty_;
    ConditionVariable not_full_;
    // The values are slots_[first_ .. first_ + size_), wrapped around.
    std::vector<std::optional<T>> slots_;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
    bool closed_ = false;
};

}  // namespace coir
