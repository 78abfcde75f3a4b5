#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/zero_pages.hpp"

namespace coir::detail {

/// A queue of what is ready to run: its owner pushes at the tail, everybody takes the oldest from the head.
///
/// First in, first out, because what became ready earlier has a peer that has waited longer.
/// (A Chase-Lev deque lets its owner take the newest: good for fork and join, unfair for requests.)
///
/// Threads: push() by the owner only; pop() and steal() by anyone.
/// Cost:    push has no locked instruction, pop and steal have one. It grows by doubling; outgrown
///          buffers are kept until the end, since a thief may still be reading one, but trim() gives
///          the memory behind all of them away.
template <typename T>
class WorkDeque final {
public:
    explicit WorkDeque(std::size_t capacity = 256) { install(std::bit_ceil(capacity)); }
    WorkDeque(const WorkDeque&) = delete;
    WorkDeque& operator=(const WorkDeque&) = delete;

    void push(T* item) {
        const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
        // pairs with the compare-exchange in take(): the slots before head are free for reuse
        const std::uint64_t head = head_.load(std::memory_order_acquire);
        Ring* ring = ring_.load(std::memory_order_relaxed);
        if (tail - head > ring->mask) {
            ring = grow(head, tail);
        }
        ring->slot(tail).store(item, std::memory_order_relaxed);
        tail_.store(tail + 1, std::memory_order_release);  // pairs with the acquire in take()
    }

    /// The oldest item, or null when there is none.
    [[nodiscard]] T* pop() noexcept {
        return pop_if([](const T*) { return true; });
    }
    /// pop() for an owner who is the only one that takes. Without a locked instruction.
    [[nodiscard]] T* pop_alone() noexcept {
        return pop_alone_if([](const T*) { return true; });
    }
    template <typename Wanted>
    [[nodiscard]] T* pop_alone_if(Wanted wanted) noexcept {
        const std::uint64_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_.load(std::memory_order_relaxed)) {
            return nullptr;
        }
        T* const item =
            ring_.load(std::memory_order_relaxed)->slot(head).load(std::memory_order_relaxed);
        if (!wanted(item)) {
            return nullptr;
        }
        head_.store(head + 1, std::memory_order_relaxed);
        return item;
    }
    /// The oldest item if it is `wanted`; null otherwise.
    // As take() of one; inline, since every switch of a fiber comes here.
    template <typename Wanted>
    [[nodiscard]] T* pop_if(Wanted wanted) noexcept {
        std::uint64_t head = head_.load(std::memory_order_acquire);
        while (head < tail_.load(std::memory_order_acquire)) {  // pairs with push()
            Ring* const ring = ring_.load(std::memory_order_acquire);
            T* const item = ring->slot(head).load(std::memory_order_relaxed);
            if (!wanted(item)) {
                return nullptr;  // or what was there a moment ago, before a thief came
            }
            if (head_.compare_exchange_strong(head, head + 1, std::memory_order_acq_rel,
                                              std::memory_order_acquire)) {
                return item;
            }
        }
        return nullptr;
    }

    /// What pop() would give after `ahead` others, unless another thread is faster; null when there is none.
    [[nodiscard]] T* peek(std::size_t ahead = 0) const noexcept {
        const std::uint64_t head = head_.load(std::memory_order_relaxed) + ahead;
        if (tail_.load(std::memory_order_acquire) <= head) {  // pairs with push()
            return nullptr;
        }
        return ring_.load(std::memory_order_acquire)->slot(head).load(std::memory_order_relaxed);
    }

    /// Takes up to half of the items, at most `capacity`, oldest first. Returns how many.
    [[nodiscard]] std::size_t steal(T** into, std::size_t capacity) noexcept {
        const std::size_t half = (size() + 1) / 2;
        return take(into, half < capacity ? half : capacity);
    }

    /// Exact for the owner while nobody steals, a snapshot for others.
    [[nodiscard]] std::size_t size() const noexcept {
        const std::uint64_t head = head_.load(std::memory_order_acquire);
        const std::uint64_t tail = tail_.load(std::memory_order_acquire);
        return tail > head ? static_cast<std::size_t>(tail - head) : 0;
    }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Gives the memory of large buffers to the kernel, if nothing is in the queue and they have been
    /// used since the last time. Threads: the owner.
    void trim() noexcept {
        const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
        // pairs with the compare-exchange in take(): who took an item has read its slot before.
        // Who is still at it fails there, whatever it read: head has moved on.
        if (tail - trimmed_at_ < kTrimmedSlots || head_.load(std::memory_order_acquire) != tail) {
            return;
        }
        trimmed_at_ = tail;
        for (const auto& ring : rings_) {
            if (ring->mask >= kTrimmedSlots) {
                ring->memory.discard();
            }
        }
    }

private:
    // 32 KiB: less is not worth a system call.
    static constexpr std::size_t kTrimmedSlots = 4096;

    struct Ring {
        explicit Ring(std::size_t capacity)
            : mask(capacity - 1),
              memory(capacity * sizeof(std::atomic<T*>)),
              slots(static_cast<std::atomic<T*>*>(memory.data())) {
            std::uninitialized_value_construct_n(slots, capacity);
        }
        std::atomic<T*>& slot(std::uint64_t index) noexcept { return slots[index & mask]; }

        std::size_t mask;
        ZeroPages memory;
        std::atomic<T*>* slots;  // nothing to destroy
    };

    Ring* install(std::size_t capacity) {
        rings_.push_back(std::make_unique<Ring>(capacity));
        ring_.store(rings_.back().get(), std::memory_order_release);  // pairs with take()
        return rings_.back().get();
    }

    Ring* grow(std::uint64_t head, std::uint64_t tail) {
        Ring* old = ring_.load(std::memory_order_relaxed);
        // Filled before it is published, so that a thief that sees it sees its items.
        auto larger = std::make_unique<Ring>(2 * (old->mask + 1));
        for (std::uint64_t i = head; i != tail; ++i) {
            larger->slot(i).store(old->slot(i).load(std::memory_order_relaxed),
                                  std::memory_order_relaxed);
        }
        rings_.push_back(std::move(larger));
        ring_.store(rings_.back().get(), std::memory_order_release);  // pairs with take()
        return rings_.back().get();
    }

    std::size_t take(T** into, std::size_t wanted) noexcept {
        std::uint64_t head = head_.load(std::memory_order_acquire);
        for (;;) {
            const std::uint64_t tail = tail_.load(std::memory_order_acquire);  // pairs with push()
            if (tail <= head || wanted == 0) {
                return 0;
            }
            const std::uint64_t available = tail - head;
            const std::size_t count =
                available < wanted ? static_cast<std::size_t>(available) : wanted;
            Ring* ring = ring_.load(std::memory_order_acquire);
            for (std::size_t i = 0; i != count; ++i) {
                into[i] = ring->slot(head + i).load(std::memory_order_relaxed);
            }
            // The slots cannot have been reused if head has not moved: the owner reuses a slot only
            // after head has passed it, and head never returns to an old value.
            if (head_.compare_exchange_strong(head, head + count, std::memory_order_acq_rel,
                                              std::memory_order_acquire)) {
                return count;
            }
        }
    }

    // head_ <= tail_; the items are [head_, tail_).
    alignas(64) std::atomic<std::uint64_t> head_{0};
    alignas(64) std::atomic<std::uint64_t> tail_{0};
    std::atomic<Ring*> ring_{nullptr};
    std::vector<std::unique_ptr<Ring>> rings_;
    std::uint64_t trimmed_at_ = 0;  // what tail_ was
};

}  // namespace coir::detail
