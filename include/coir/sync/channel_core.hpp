#pragma once

#include <cstddef>
#include <iterator>
#include <mutex>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/error.hpp"
#include "coir/base/result.hpp"
#include "coir/base/spin_lock.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/sync/wait_list.hpp"

namespace coir::detail {

template <typename Channel, typename Handler>
class ReceiveArm;
template <typename Channel, typename Value, typename Handler>
class SendArm;

/// Somebody who waits at a channel, and the value that is exchanged.
struct ChannelWait : WaitNode {
    template <typename... Place>
    explicit ChannelWait(void* its_value, Place&... place) noexcept
        : WaitNode(place...), value(its_value) {}

    void* const value;       // a sender's T*, a receiver's std::optional<T>*
    bool is_served = false;  // else it was woken because the channel is closed
};

enum class Exchange : unsigned char { done, closed, must_wait };

/// What all channels are. `Store` says how many values may lie in between, and where.
///
/// Who comes second does the work for both: it moves the value from, or to, the other's frame, and then wakes
/// it. So a value goes to who has waited longest, a woken one has what it waited for, and nobody can come in
/// between. While a receiver waits nothing is stored; while a sender waits nothing more can be.
template <typename T, typename Store>
class ChannelCore {
    static_assert(std::is_object_v<T> && std::is_move_constructible_v<T>);

public:
    using value_type = T;

    ChannelCore(const ChannelCore&) = delete;
    ChannelCore& operator=(const ChannelCore&) = delete;

    /// Errors: resource_unavailable_try_again if it would have to wait; channel_closed once it is closed and
    ///         empty.
    [[nodiscard]] Result<T> try_receive() {
        std::optional<T> value;
        std::unique_lock lock(lock_);
        return received(take(lock, value), value);
    }
    /// Suspends: while there is nothing to receive, and it is open. What is there is received though the
    ///           deadline has passed; but a fiber that is asked to stop receives nothing more.
    /// Errors:   timed_out, operation_canceled; channel_closed once it is closed and empty.
    [[nodiscard]] Result<T> receive(Deadline deadline) {
        if (must_stop()) {
            return std::errc::operation_canceled;
        }
        std::optional<T> value;
        std::unique_lock lock(lock_);
        if (const Exchange exchange = take(lock, value); exchange != Exchange::must_wait) {
            return received(exchange, value);
        }
        Parker parker;
        ChannelWait wait(&value, parker);
        receivers_.push_back(wait);
        lock.unlock();
        if (auto woken = await(receivers_, wait, "a channel, to receive", deadline); !woken) {
            return woken.error();
        }
        return received(wait.is_served ? Exchange::done : Exchange::closed, value);
    }

    /// Nothing goes in from now on, and what is in can still be received. Wakes everybody who waits. What a
    /// sender waits with is not in: it keeps it. Does nothing the second time.
    void close() noexcept {
        WakeChain woken;
        {
            const std::lock_guard lock(lock_);
            is_closed_ = true;
            senders_.take_all(woken);
            receivers_.take_all(woken);
        }
        woken.wake();
    }
    [[nodiscard]] bool is_closed() const noexcept {
        const std::lock_guard lock(lock_);
        return is_closed_;
    }
    /// How many values are in, in this moment.
    [[nodiscard]] std::size_t size() const noexcept {
        const std::lock_guard lock(lock_);
        return store_.size();
    }

    /// What is received, in a loop: `for (T& value : channel)`.
    class Iterator final {
    public:
        using iterator_concept = std::input_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        T& operator*() const noexcept { return *value_; }
        Iterator& operator++() {
            advance();
            return *this;
        }
        void operator++(int) { advance(); }
        friend bool operator==(const Iterator& self, std::default_sentinel_t) noexcept {
            return !self.value_;
        }

    private:
        friend class ChannelCore;
        explicit Iterator(ChannelCore& channel) : channel_(&channel) { advance(); }
        void advance() {
            auto value = channel_->receive(Deadline::never());
            value_.reset();
            if (value) {
                value_.emplace(*std::move(value));
            }
        }

        ChannelCore* channel_;
        mutable std::optional<T> value_;
    };
    /// The loop ends when the channel is closed and empty, or when the fiber is to stop, or its task-wide
    /// deadline passes while it waits: ask this_fiber if that makes a difference.
    [[nodiscard]] Iterator begin() { return Iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

protected:
    template <typename... Args>
    explicit ChannelCore(Args&&... args) : store_(std::forward<Args>(args)...) {}
    ~ChannelCore() { COIR_ASSERT(senders_.empty() && receivers_.empty()); }

    [[nodiscard]] Result<void> send_now(T& value) {
        std::unique_lock lock(lock_);
        return sent(put(lock, value));
    }
    [[nodiscard]] Result<void> send_or_wait(T& value, Deadline deadline) {
        if (must_stop()) {
            return std::errc::operation_canceled;
        }
        std::unique_lock lock(lock_);
        if (const Exchange exchange = put(lock, value); exchange != Exchange::must_wait) {
            return sent(exchange);
        }
        Parker parker;
        ChannelWait wait(&value, parker);
        senders_.push_back(wait);
        lock.unlock();
        if (auto woken = await(senders_, wait, "a channel, to send", deadline); !woken) {
            return woken;
        }
        return sent(wait.is_served ? Exchange::done : Exchange::closed);
    }

    const Store& store() const noexcept { return store_; }

private:
    template <typename Channel, typename Handler>
    friend class ReceiveArm;
    template <typename Channel, typename Value, typename Handler>
    friend class SendArm;

    using Lock = std::unique_lock<SpinLock>;

    [[nodiscard]] static Result<void> sent(Exchange exchange) noexcept {
        switch (exchange) {
            case Exchange::done: return {};
            case Exchange::closed: return Errc::channel_closed;
            case Exchange::must_wait: break;
        }
        return std::errc::resource_unavailable_try_again;
    }
    [[nodiscard]] static Result<T> received(Exchange exchange, std::optional<T>& value) {
        if (exchange == Exchange::done) {
            return *std::move(value);
        }
        return sent(exchange).error();
    }

    static void move(T& from, std::optional<T>& to) noexcept { to.emplace(std::move(from)); }

    /// Lets the lock go, and then `wait` as well, which may end the channel.
    static void serve(Lock& lock, ChannelWait& wait) noexcept {
        wait.is_served = true;
        lock.unlock();
        wait.unpark();
    }
    [[nodiscard]] static ChannelWait* first_of(WaitList& list) noexcept {
        return static_cast<ChannelWait*>(list.take_first());
    }

    /// With the lock, which is still held if it must wait.
    [[nodiscard]] Exchange put(Lock& lock, T& value) {
        typename Store::Reserve reserve;
        for (;;) {
            if (is_closed_) {
                return Exchange::closed;
            }
            if (ChannelWait* const receiver = first_of(receivers_)) {
                move(value, *static_cast<std::optional<T>*>(receiver->value));
                serve(lock, *receiver);
                return Exchange::done;
            }
            if (store_.push(value, reserve)) {
                lock.unlock();  // before what is left of the reserve is freed
                return Exchange::done;
            }
            if constexpr (Store::kGrows) {
                lock.unlock();
                reserve = Store::make_reserve();
                lock.lock();
            } else {
                return Exchange::must_wait;
            }
        }
    }
    /// With the lock, which is still held if it must wait.
    [[nodiscard]] Exchange take(Lock& lock, std::optional<T>& into) noexcept {
        typename Store::Reserve reserve;
        if (store_.size() != 0) {
            store_.pop(into, reserve);
            if constexpr (!Store::kGrows) {
                if (ChannelWait* const sender = first_of(senders_)) {
                    (void)store_.push(*static_cast<T*>(sender->value), reserve);
                    serve(lock, *sender);
                    return Exchange::done;
                }
            }
            lock.unlock();
            return Exchange::done;
        }
        if (ChannelWait* const sender = first_of(senders_)) {
            move(*static_cast<T*>(sender->value), into);
            serve(lock, *sender);
            return Exchange::done;
        }
        return is_closed_ ? Exchange::closed : Exchange::must_wait;
    }

    [[nodiscard]] Result<void> await(WaitList& list, ChannelWait& wait, const char* what,
                                     Deadline deadline) noexcept {
        return await_wake(wait, what, deadline, StopRequests::obeyed,
                          [&] { return withdraw(list, wait); });
    }
    bool withdraw(WaitList& list, ChannelWait& wait) noexcept {
        const std::lock_guard lock(lock_);
        return list.remove_if_linked(wait);
    }

    // For the arms of a select. They do not exchange with each other.
    [[nodiscard]] Exchange take_now(std::optional<T>& into) noexcept {
        std::unique_lock lock(lock_);
        return take(lock, into);
    }
    [[nodiscard]] Exchange put_now(T& value) {
        std::unique_lock lock(lock_);
        return put(lock, value);
    }
    [[nodiscard]] static bool holds_other(const WaitList& list, const WaitNode& wait) noexcept {
        const WaitNode* node = list.first();
        while (node != nullptr && node->completed == wait.completed) {
            node = node->next;
        }
        return node != nullptr;
    }
    /// False if there is something to do at once.
    [[nodiscard]] bool enlist_receiver(ChannelWait& wait) noexcept {
        const std::lock_guard lock(lock_);
        if (is_closed_ || store_.size() != 0 || holds_other(senders_, wait)) {
            return false;
        }
        receivers_.push_back(wait);
        return true;
    }
    [[nodiscard]] bool enlist_sender(ChannelWait& wait) noexcept {
        const std::lock_guard lock(lock_);
        if (is_closed_ || store_.has_room() || holds_other(receivers_, wait)) {
            return false;
        }
        senders_.push_back(wait);
        return true;
    }
    void withdraw_receiver(ChannelWait& wait) noexcept { withdraw(receivers_, wait); }
    void withdraw_sender(ChannelWait& wait) noexcept { withdraw(senders_, wait); }

    mutable SpinLock lock_;  // protects all that follows; values are moved under it
    bool is_closed_ = false;
    WaitList senders_;    // ChannelWaits
    WaitList receivers_;  // ChannelWaits
    Store store_;
};

}  // namespace coir::detail
