#pragma once

#include <cstddef>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/sync/channel_core.hpp"
#include "coir/sync/channel_stores.hpp"

namespace coir {

/// A queue between fibers: many senders, many receivers, first in, first out, so many values at most.
///
/// With a capacity of 0 a rendezvous: each send waits until a receiver has taken the value.
/// What receivers, close(), size() and loops do is said in detail::ChannelCore, which all channels share.
/// It may be destroyed when nobody waits, also by who has received from a send(), or sent to a receive(),
/// that has not returned.
/// Threads:  fibers of any runtime, and plain threads.
/// Requires: a T is moved without suspending, and without an exception: thrown under the lock, that ends the
///           program.
/// Cost:     a short lock for each value; no allocation after the constructor.
template <typename T>
class Channel final : public detail::ChannelCore<T, detail::RingStore<T>> {
public:
    explicit Channel(std::size_t capacity)
        : detail::ChannelCore<T, detail::RingStore<T>>(capacity) {}

    /// Suspends: while the channel is full; if its capacity is 0, until the value is taken. What can be sent
    ///           at once is, though the deadline has passed; but not by a fiber that is asked to stop.
    /// Errors:   timed_out, operation_canceled, channel_closed; `value` is as it was then.
    [[nodiscard]] Result<void> send(T&& value, Deadline deadline) {
        return this->send_or_wait(value, deadline);
    }
    [[nodiscard]] Result<void> send(const T& value, Deadline deadline) {
        T copy(value);
        return this->send_or_wait(copy, deadline);
    }
    /// Never suspends.
    /// Errors: resource_unavailable_try_again if it would have to wait, channel_closed; `value` is as it was.
    [[nodiscard]] Result<void> try_send(T&& value) { return this->send_now(value); }
    [[nodiscard]] Result<void> try_send(const T& value) {
        T copy(value);
        return this->send_now(copy);
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return this->store().capacity(); }
};

/// A channel without a limit: who sends never waits.
///
/// It grows as long as more is sent than received, in chunks of 1 KiB, or of 8 values if that is more, until
/// memory is gone: bound the senders by other means. Chunks that have been read are given back, but for one
/// that is kept and one that is in use. All else is as with Channel; several may receive as well.
/// Cost: a short lock for each value; an allocation for each chunk, outside the lock.
template <typename T>
class UnboundedChannel final : public detail::ChannelCore<T, detail::ChunkStore<T>> {
public:
    UnboundedChannel() noexcept = default;

    /// Never suspends. Errors: channel_closed; `value` is as it was then. std::bad_alloc, thrown, likewise.
    [[nodiscard]] Result<void> send(T&& value) { return this->send_now(value); }
    [[nodiscard]] Result<void> send(const T& value) {
        T copy(value);
        return this->send_now(copy);
    }
};

}  // namespace coir
