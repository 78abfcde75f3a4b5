#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "coir/base/error.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/select.hpp"
#include "coir/sync/channel_core.hpp"
#include "coir/sync/event.hpp"
#include "coir/sync/semaphore.hpp"

/// What select() can wait for in this layer. All arms can be completed by whoever comes second, so two selects
/// can exchange a value over a channel without a capacity, and nothing is completed twice.
namespace coir {

namespace detail {

/// The arms here are completed by others for good: they never owe a notification.
class ClaimedArm : public SelectArm {
public:
    [[nodiscard]] bool withdraw() noexcept final {
        leave();
        return false;
    }
    void pass_on() noexcept final {}

protected:
    ~ClaimedArm() = default;

    /// Makes the node of this arm for a round.
    template <typename Node, typename... Args>
    Node& enter(std::optional<Node>& node, Selection& selection, Args&&... args) noexcept {
        return node.emplace(std::forward<Args>(args)..., selection.parker, selection.wakers,
                            selection.completed, static_cast<SelectArm&>(*this));
    }

private:
    virtual void leave() noexcept = 0;
};

template <typename Channel, typename Handler>
class ReceiveArm final : public ClaimedArm {
public:
    using T = typename Channel::value_type;

    ReceiveArm(Channel& channel, Handler handler)
        : channel_(channel), handler_(std::move(handler)) {}

    [[nodiscard]] bool try_now() override {
        return channel_.take_now(value_) != Exchange::must_wait;
    }
    [[nodiscard]] bool enroll(Selection& selection) override {
        return !channel_.enlist_receiver(enter(wait_, selection, static_cast<void*>(&value_)));
    }
    void finish() override {
        if (value_) {
            std::invoke(handler_, Result<T>(*std::move(value_)));
        } else {
            std::invoke(handler_, Result<T>(Errc::channel_closed));
        }
    }

private:
    void leave() noexcept override { channel_.withdraw_receiver(*wait_); }

    Channel& channel_;
    Handler handler_;
    std::optional<T> value_;  // null when completed: the channel is closed
    std::optional<ChannelWait> wait_;
};

/// `Value` is T&&, somebody else's, or T, a copy.
template <typename Channel, typename Value, typename Handler>
class SendArm final : public ClaimedArm {
public:
    using T = typename Channel::value_type;

    SendArm(Channel& channel, Value&& value, Handler handler)
        : channel_(channel), value_(std::forward<Value>(value)), handler_(std::move(handler)) {}

    [[nodiscard]] bool try_now() override {
        const Exchange exchange = channel_.put_now(value_);
        is_sent_ = exchange == Exchange::done;
        return exchange != Exchange::must_wait;
    }
    [[nodiscard]] bool enroll(Selection& selection) override {
        return !channel_.enlist_sender(enter(wait_, selection, static_cast<void*>(&value_)));
    }
    void finish() override {
        if (is_sent_ || (wait_ && wait_->is_served)) {
            std::invoke(handler_, Result<void>());
        } else {
            std::invoke(handler_, Result<void>(Errc::channel_closed));
        }
    }

private:
    void leave() noexcept override { channel_.withdraw_sender(*wait_); }

    Channel& channel_;
    Value value_;
    Handler handler_;
    bool is_sent_ = false;
    std::optional<ChannelWait> wait_;
};

class EventArmBase : public ClaimedArm {
public:
    [[nodiscard]] bool try_now() final { return event_.is_set(); }
    [[nodiscard]] bool enroll(Selection& selection) final {
        return !event_.enlist(enter(wait_, selection));
    }

protected:
    explicit EventArmBase(Event& event) noexcept : event_(event) {}
    ~EventArmBase() = default;

private:
    void leave() noexcept final { event_.withdraw(*wait_); }

    Event& event_;
    std::optional<WaitNode> wait_;
};

class AcquireArmBase : public ClaimedArm {
public:
    [[nodiscard]] bool try_now() final { return semaphore_.try_acquire(count_); }
    [[nodiscard]] bool enroll(Selection& selection) final {
        return !semaphore_.enlist(enter(wait_, selection, count_));
    }

protected:
    AcquireArmBase(Semaphore& semaphore, std::size_t count) noexcept
        : semaphore_(semaphore), count_(count) {}
    ~AcquireArmBase() = default;

private:
    void leave() noexcept final { semaphore_.withdraw(*wait_); }

    Semaphore& semaphore_;
    const std::size_t count_;
    std::optional<PermitWait> wait_;
};

template <typename Base, typename Handler>
class SimpleArm final : public Base {
public:
    template <typename... Args>
    explicit SimpleArm(Handler handler, Args&&... args)
        : Base(std::forward<Args>(args)...), handler_(std::move(handler)) {}
    void finish() override { std::invoke(handler_); }

private:
    Handler handler_;
};

}  // namespace detail

/// The arm that is completed when something has been received, or the channel is closed and empty:
/// `handler(Result<T>)` gets the value, or channel_closed.
template <typename Channel, typename Handler>
[[nodiscard]] auto on_receive(Channel& channel, Handler handler) {
    return detail::ReceiveArm<Channel, Handler>(channel, std::move(handler));
}

/// The arm that is completed when `value` has been sent, or the channel is closed: `handler(Result<void>)`. On
/// an UnboundedChannel it can always be.
/// Requires: `value` outlives the select, which takes it only if it is sent; a const one is copied.
template <typename Channel, typename Handler = detail::NoHandler>
[[nodiscard]] auto on_send(Channel& channel, typename Channel::value_type&& value,
                           Handler handler = {}) {
    using T = typename Channel::value_type;
    return detail::SendArm<Channel, T&&, Handler>(channel, std::move(value), std::move(handler));
}
template <typename Channel, typename Handler = detail::NoHandler>
[[nodiscard]] auto on_send(Channel& channel, const typename Channel::value_type& value,
                           Handler handler = {}) {
    using T = typename Channel::value_type;
    return detail::SendArm<Channel, T, Handler>(channel, T(value), std::move(handler));
}

/// The arm that is completed when the event is set: `handler()`.
template <typename Handler = detail::NoHandler>
[[nodiscard]] auto on_set(Event& event, Handler handler = {}) {
    return detail::SimpleArm<detail::EventArmBase, Handler>(std::move(handler), event);
}

/// The arm that is completed when a future has an outcome: `handler()` can get() it at once.
template <typename Future, typename Handler = detail::NoHandler>
[[nodiscard]] auto on_ready(Future& future, Handler handler = {}) {
    return on_set(future.ready(), std::move(handler));
}

/// The arm that is completed when `count` permits have been acquired: `handler()`.
template <typename Handler = detail::NoHandler>
[[nodiscard]] auto on_acquire(Semaphore& semaphore, std::size_t count, Handler handler = {}) {
    return detail::SimpleArm<detail::AcquireArmBase, Handler>(std::move(handler), semaphore, count);
}

}  // namespace coir
