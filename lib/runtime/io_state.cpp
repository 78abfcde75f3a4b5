#include "runtime/io_state.hpp"

#include <algorithm>
#include <mutex>
#include <thread>

#include "runtime/poll_callbacks.hpp"

namespace coir::detail {
namespace {

// User-space addresses have 47 bits on x86-64 and 48 on AArch64 Linux: the top 16 are free.
constexpr int kAddressBits = 48;
constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kAddressBits) - 1;

constexpr std::uint32_t kOneGeneration = 1U << 16;
constexpr std::uint32_t kLastGeneration = 0xffffU << 16;
constexpr std::uint32_t kHolders = kOneGeneration - 1;

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

void IoState::resume_at(std::uint16_t generation) noexcept {
    generation_and_holders.store(std::max<std::uint32_t>(generation, 1) * kOneGeneration,
                                 std::memory_order_relaxed);
}

void IoState::await_closers() const noexcept {
    // pairs with the release in IoSource::end_waits(); a few instructions, unless it is preempted there
    while (closers.load(std::memory_order_acquire) != 0) {
        std::this_thread::yield();
    }
}

void IoState::recycle(IoState* state) noexcept {
    // Both sides change this one word, so either hold() sees the new generation or this sees the holder.
    auto& word = state->generation_and_holders;
    if (word.fetch_add(kOneGeneration, std::memory_order_acq_rel) >= kLastGeneration) {
        word.fetch_add(kOneGeneration, std::memory_order_acq_rel);  // 0 is none
    }
    while ((word.load(std::memory_order_acquire) & kHolders) != 0) {
        std::this_thread::yield();  // a few instructions, unless it is preempted there
    }
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
    const std::uint32_t own = generation();
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
    return value != 0 && static_cast<std::uint16_t>(value) == generation();
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
    return reinterpret_cast<std::uintptr_t>(this) | std::uint64_t{generation()} << kAddressBits;
}

IoState* IoState::hold(std::uint64_t tag) noexcept {
    auto* const state = reinterpret_cast<IoState*>(tag & kAddressMask);
    auto& word = state->generation_and_holders;
    std::uint32_t found = word.load(std::memory_order_relaxed);
    // Nothing is written for an earlier generation: the memory may be given away in this moment, and what
    // let_go() takes back would be gone.
    while (found >> 16 == tag >> kAddressBits) {
        // pairs with recycle()
        if (word.compare_exchange_weak(found, found + 1, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
            return state;
        }
    }
    return nullptr;
}

}  // namespace coir::detail
