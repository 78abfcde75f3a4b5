#pragma once

#include <atomic>
#include <cstdint>

#include "coir/runtime/parker.hpp"

namespace coir::detail {

/// One place in a WaitList, in the frame of whoever waits.
struct WaitNode {
    explicit WaitNode(Parker& its_parker) noexcept : parker(&its_parker) {}

    /// By who has taken it out, once.
    void unpark() noexcept {
        std::atomic<std::uint32_t>* const waker = wakers;
        parker->unpark();
        if (waker != nullptr) {
            waker->fetch_sub(1, std::memory_order_release);  // pairs with Selection::await_wakers()
        }
    }

    WaitNode* previous = nullptr;
    WaitNode* next = nullptr;
    // Changes under the lock of the list. Who takes the node out to wake it calls unpark(), once; so
    // who finds that it is out, though its own wait has timed out, parks again for that call.
    bool is_linked = false;
    Parker* const parker;
    // Of a wait in several lists: who takes the node out counts itself here, under the lock of the list,
    // until it is done with the node. Else null.
    std::atomic<std::uint32_t>* wakers = nullptr;
};

/// The place of one who waits in one list.
struct OwnWait : WaitNode {
    OwnWait() noexcept : WaitNode(own) {}
    Parker own;
};

/// Those who wait for one thing, in their order. Under a lock of its owner's.
class WaitList final {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

    void push_back(WaitNode& node) noexcept { insert(node, last_, nullptr); }
    void push_front(WaitNode& node) noexcept { insert(node, nullptr, first_); }
    /// The oldest, or null.
    [[nodiscard]] WaitNode* pop_front() noexcept {
        WaitNode* const node = first_;
        if (node != nullptr) {
            remove(*node);
        }
        return node;
    }
    /// Requires: it is in this list.
    void remove(WaitNode& node) noexcept {
        (node.previous != nullptr ? node.previous->next : first_) = node.next;
        (node.next != nullptr ? node.next->previous : last_) = node.previous;
        node.is_linked = false;
    }
    /// The oldest, to be woken by the caller; or null.
    [[nodiscard]] WaitNode* take_first() noexcept {
        WaitNode* const node = pop_front();
        if (node != nullptr && node->wakers != nullptr) {
            node->wakers->fetch_add(1, std::memory_order_relaxed);
        }
        return node;
    }
    /// All nodes, chained by `next`, and null if there is none; the list is empty then.
    [[nodiscard]] WaitNode* take_all() noexcept {
        WaitNode* const first = first_;
        for (WaitNode* node = first; node != nullptr; node = node->next) {
            node->is_linked = false;
            if (node->wakers != nullptr) {
                node->wakers->fetch_add(1, std::memory_order_relaxed);
            }
        }
        first_ = last_ = nullptr;
        return first;
    }

private:
    void insert(WaitNode& node, WaitNode* previous, WaitNode* next) noexcept {
        node.previous = previous;
        node.next = next;
        (previous != nullptr ? previous->next : first_) = &node;
        (next != nullptr ? next->previous : last_) = &node;
        node.is_linked = true;
    }

    WaitNode* first_ = nullptr;
    WaitNode* last_ = nullptr;
};

/// Wakes what take_all() has given.
inline void unpark_all(WaitNode* first) noexcept {
    while (first != nullptr) {
        WaitNode& node = *first;
        first = first->next;  // before its owner may leave its frame
        node.unpark();
    }
}

}  // namespace coir::detail
