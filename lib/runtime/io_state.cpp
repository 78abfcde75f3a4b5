#include "runtime/io_state.hpp"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "runtime/event_batch.hpp"
#include "runtime/poll_callbacks.hpp"

namespace coir::detail {
namespace {

// User-space addresses have 47 bits on x86-64 and 48 on AArch64 Linux: the top 16 are free.
constexpr int kAddressBits = 48;
constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kAddressBits) - 1;

constexpr std::uint32_t kLastGeneration = 0xffff;

/// Of the whole process, like an allocator: an IoSource can outlive the runtime in which it was first used.
IoStateSlabs& slabs() noexcept {
    // Never destroyed: a static IoSource may be destroyed after it.
    static IoStateSlabs* const instance = new IoStateSlabs;
    return *instance;
}

}  // namespace

IoState* IoState::acquire() noexcept {
    return slabs().take();
}

void IoState::resume_at(std::uint16_t last) noexcept {
    generation.store(std::max<std::uint32_t>(last, 1), std::memory_order_relaxed);
}

void IoState::await_closers() const noexcept {
    // pairs with the release in IoSource::end_waits(); a few instructions, unless it is preempted there
    while (closers.load(std::memory_order_acquire) != 0) {
        std::this_thread::yield();
    }
}

void IoState::recycle(IoState* state) noexcept {
    const std::uint32_t ended = state->generation.load(std::memory_order_relaxed);
    // pairs with find(): either it sees the new generation, or this sees the batch
    (void)state->generation.exchange(ended == kLastGeneration ? 1 : ended + 1,
                                     std::memory_order_seq_cst);
    EventBatch::await_none(std::exchange(state->gates, 0));
    for (IoDeadline& deadline : state->deadlines) {
        deadline.reset();
    }
    for (auto& slot : state->slots) {
        slot.store(kSlotEmpty, std::memory_order_relaxed);
    }
    // Generations come again: an end that was reported for an owner long ago would be a later one's.
    for (auto& end : state->ends) {
        end.store(0, std::memory_order_relaxed);
    }
    state->set_listener(std::stop_source(std::nostopstate), false);
    state->canceled.store(false, std::memory_order_relaxed);
    state->urgent.store(false, std::memory_order_relaxed);
    state->poller.store(0, std::memory_order_relaxed);
    state->interest.store(0, std::memory_order_relaxed);
    state->epoll_fd = -1;
    state->waits_abroad.store(0, std::memory_order_relaxed);
    slabs().give_back(state);
}

void IoState::report_end(Direction direction, std::uint64_t tag) noexcept {
    // With the event's generation: if the descriptor has been closed meanwhile and this memory has a
    // new owner, it is not the one meant.
    const auto value =
        static_cast<std::uint32_t>(End::news) | static_cast<std::uint32_t>(tag >> kAddressBits);
    ends[direction].store(value, std::memory_order_release);  // pairs with take_end()
}

IoState::End IoState::take_end(Direction direction) noexcept {
    const std::uint32_t own = generation.load(std::memory_order_relaxed);
    std::uint32_t value = ends[direction].load(std::memory_order_acquire);
    if (value == (static_cast<std::uint32_t>(End::news) | own)) {
        ends[direction].store(static_cast<std::uint32_t>(End::told) | own,
                              std::memory_order_relaxed);
        return End::news;
    }
    if (value == (static_cast<std::uint32_t>(End::told) | own)) {
        ends[direction].store(0, std::memory_order_relaxed);
        return End::told;
    }
    return End::none;
}

bool IoState::has_ended() const noexcept {
    const std::uint32_t value = ends[reading].load(std::memory_order_acquire);
    return value != 0 &&
           static_cast<std::uint16_t>(value) == generation.load(std::memory_order_relaxed);
}

void IoState::set_listener(std::stop_source listener, bool counts) noexcept {
    const std::lock_guard lock(listening_);
    listener_.swap(listener);
    if (counts != is_counted_) {
        is_counted_ = counts;
        poll_callbacks.fetch_add(counts ? 1 : -1, std::memory_order_relaxed);
    }
}

std::stop_source IoState::listener() noexcept {
    const std::lock_guard lock(listening_);
    return listener_;
}

std::uint64_t IoState::tag() const noexcept {
    const std::uint64_t own = generation.load(std::memory_order_relaxed);
    return reinterpret_cast<std::uintptr_t>(this) | own << kAddressBits;
}

IoState* IoState::find(std::uint64_t tag) noexcept {
    auto* const state = reinterpret_cast<IoState*>(tag & kAddressMask);
    // pairs with recycle()
    const std::uint64_t own = state->generation.load(std::memory_order_seq_cst);
    return own == tag >> kAddressBits ? state : nullptr;
}

}  // namespace coir::detail
