#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stop_token>

#include "coir/base/spin_lock.hpp"
#include "runtime/deadline_wheel.hpp"
#include "runtime/io_state_slabs.hpp"
#include "runtime/waiter.hpp"

namespace coir::detail {

/// What pollers and fibers share about one descriptor.
///
/// The address of an IoState is never used for anything else (IoStateSlabs), and the kernel's event data
/// carries its generation: an event that a poller still has for a closed descriptor is recognised as
/// stale, whether the state has another owner by then or its memory is away. One that is not stale is dealt with
/// in an EventBatch: who closes the descriptor waits for that, or the next owner would get the event.
class alignas(64) IoState final {
public:
    enum Direction : int { reading = 0, writing = 1 };

    /// One slot for the reading and one for the writing fiber; see waiter.hpp.
    std::atomic<std::uintptr_t> slots[2] = {kSlotEmpty, kSlotEmpty};
    /// Nothing more will be reported in this direction: the peer has finished sending (reading only),
    /// or the connection has failed. Edge-triggered epoll says so once, so it is kept: 0 is none, else
    /// an End and the generation for which it was reported.
    std::atomic<std::uint32_t> ends[2] = {0, 0};
    std::atomic<bool> canceled{false};
    /// A peer has sent urgent data (EPOLLPRI): since then a short read need not have read all there is.
    std::atomic<bool> urgent{false};
    /// Calls that are ending the waits: the state is theirs as well until they have.
    std::atomic<std::uint32_t> closers{0};
    /// From 1 on, 16 bits of it. In a union, so that the constructor leaves it alone: a poller with a stale event may
    /// be looking at it, and sees 0 or a generation that no tag has.
    union {
        std::atomic<std::uint32_t> generation;
    };

    // Where the descriptor is registered: 0 is nowhere, else a PollerNumber. Written under `moving` by
    // a fiber that is about to wait.
    std::atomic<std::uint64_t> poller{0};
    std::atomic<std::uint32_t> interest{0};
    SpinLock moving;
    int epoll_fd = -1;  // of that poller; under `moving`
    // Waits in a row on another worker than the one that polls.
    std::atomic<std::uint8_t> waits_abroad{0};

    IoStateSlab& slab;  // where it lies
    /// Of all pollers that may have an event for this owner; under `moving`.
    std::uint64_t gates = 0;

    /// What is known about the end of a direction. `told`: a wait has returned because of it, and
    /// whoever waits again has seen something else; the kernel must be asked anew.
    enum class End : std::uint32_t { none = 0, news = 0x10000, told = 0x20000 };
    /// Called by a poller for an event with this tag.
    void report_end(Direction direction, std::uint64_t tag) noexcept;
    /// Called by a fiber that is about to wait: news become told, told becomes none.
    [[nodiscard]] End take_end(Direction direction) noexcept;
    /// Whether the peer has finished sending, or the connection has failed, as far as anybody was told.
    [[nodiscard]] bool has_ended() const noexcept;

    /// The one to tell when that happens, or nobody; whether it counts as one of poll_callbacks. Threads: any.
    void set_listener(std::stop_source listener, bool counts) noexcept;
    /// To be asked for after report_end() or a cancel(), and told out of the batch: callbacks may
    /// destroy the descriptor's owner.
    [[nodiscard]] std::stop_source listener() noexcept;

    /// The deadline of each slot's waits.
    IoDeadline deadlines[2];

    /// Leaves the generation alone; the slab says it next, by resume_at().
    explicit IoState(IoStateSlab& its_slab) noexcept : slab(its_slab) {}
    ~IoState() = default;
    IoState(const IoState&) = delete;
    IoState& operator=(const IoState&) = delete;
    /// 0 stands for the first generation.
    void resume_at(std::uint16_t last) noexcept;
    [[nodiscard]] static IoState* acquire() noexcept;
    /// Returns when nobody is ending waits any more.
    void await_closers() const noexcept;
    /// Requires: no fiber waits, the descriptor is closed or about to be, and the thread is in no EventBatch.
    static void recycle(IoState* state) noexcept;

    /// The kernel's event data: address and generation in one word.
    [[nodiscard]] std::uint64_t tag() const noexcept;
    /// The state behind an event, which has no next owner before the batch ends; or null if the event is for an
    /// earlier owner of its memory. Requires: the thread is in a batch of the poller that has the event.
    [[nodiscard]] static IoState* find(std::uint64_t tag) noexcept;

private:
    SpinLock listening_;
    // Under listening_.
    std::stop_source listener_{std::nostopstate};
    bool is_counted_ = false;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
// A session's wait reads the two lines that SessionControl::prefetch_state() fetches, and no third.
static_assert(sizeof(void*) != 8 ||
              offsetof(IoState, deadlines) + IoDeadline::bytes_read() <= 2 * alignof(IoState));
#pragma GCC diagnostic pop

}  // namespace coir::detail
