#pragma once

#include <atomic>
#include <cstdint>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/stop_requests.hpp"

namespace coir::detail {

class SelectArm;

/// One place in a WaitList, in the frame of whoever waits.
struct WaitNode {
    explicit WaitNode(Parker& its_parker) noexcept : parker(&its_parker) {}
    /// The place of one arm of a select: see detail::Selection.
    WaitNode(Parker& its_parker, std::atomic<std::uint32_t>& its_wakers,
             std::atomic<SelectArm*>& what_is_completed, SelectArm& its_arm) noexcept
        : parker(&its_parker), wakers(&its_wakers), completed(&what_is_completed), arm(&its_arm) {}

    /// Whether the wait can be ended, by who has taken the node out for that, under the lock of the list;
    /// then call unpark(). False: the node is of a select that has completed another arm, and must not be
    /// touched once the lock is free.
    [[nodiscard]] bool claim() noexcept {
        if (arm == nullptr) {
            return true;
        }
        SelectArm* none = nullptr;
        if (!completed->compare_exchange_strong(none, arm, std::memory_order_acq_rel,
                                                std::memory_order_relaxed)) {
            return false;
        }
        wakers->fetch_add(1, std::memory_order_relaxed);
        return true;
    }
    /// By who has claimed it, once.
    void unpark() noexcept {
        std::atomic<std::uint32_t>* const waker = wakers;
        parker->unpark();
        if (waker != nullptr) {
            waker->fetch_sub(1, std::memory_order_release);  // pairs with select's look at it
        }
    }

    WaitNode* previous = nullptr;
    WaitNode* next = nullptr;
    // Changes under the lock of the list. Who claims the node calls unpark(), once; so who finds that it
    // is out, though its own wait has timed out, parks again for that call.
    bool is_linked = false;
    Parker* const parker;
    // Of an arm of a select, else null. Who claims the node counts itself in `wakers`, under the lock of the
    // list, until it is done with the node.
    std::atomic<std::uint32_t>* const wakers = nullptr;
    std::atomic<SelectArm*>* const completed = nullptr;
    SelectArm* const arm = nullptr;
};

/// The place of one who waits in one list.
struct OwnWait : WaitNode {
    OwnWait() noexcept : WaitNode(own) {}
    Parker own;
};

/// Nodes that have been claimed under a lock, to be woken when it is free.
class WakeChain final {
public:
    void add(WaitNode& node) noexcept {
        node.next = nullptr;
        (last_ != nullptr ? last_->next : first_) = &node;
        last_ = &node;
    }
    /// Touches nothing but the nodes: whoever is woken may destroy the list that they were in.
    void wake() noexcept {
        for (WaitNode* node = first_; node != nullptr;) {
            WaitNode& woken = *node;
            node = node->next;  // before its owner may leave its frame
            woken.unpark();
        }
    }

private:
    WaitNode* first_ = nullptr;
    WaitNode* last_ = nullptr;
};

/// Those who wait for one thing, in their order. Under a lock of its owner's.
class WaitList final {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    /// The oldest, or null.
    [[nodiscard]] WaitNode* first() const noexcept { return first_; }

    void push_back(WaitNode& node) noexcept { insert(node, last_, nullptr); }
    void push_front(WaitNode& node) noexcept { insert(node, nullptr, first_); }
    /// Takes the oldest out; null if there is none.
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
    /// False if it was out already.
    bool remove_if_linked(WaitNode& node) noexcept {
        const bool is_linked = node.is_linked;
        if (is_linked) {
            remove(node);
        }
        return is_linked;
    }
    /// Claims the oldest whose wait can be ended; null if there is none.
    [[nodiscard]] WaitNode* take_first() noexcept {
        while (WaitNode* const node = pop_front()) {
            if (node->claim()) {
                return node;
            }
        }
        return nullptr;
    }
    /// Claims all.
    void take_all(WakeChain& chain) noexcept {
        while (WaitNode* const node = take_first()) {
            chain.add(*node);
        }
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

/// Waits until somebody has claimed and woken `node`, which is in a list already.
///
/// `leave()` takes it out of the list again, and returns false if it was out. A wait that is being ended in
/// the moment in which it gives up has not given up.
template <typename Leave>
[[nodiscard]] Result<void> await_wake(WaitNode& node, const char* what, Deadline deadline,
                                      StopRequests stops, Leave leave) noexcept {
    if (const auto woken = node.parker->park_for(what, deadline, stops); !woken) {
        if (leave()) {
            return woken;
        }
        (void)node.parker->park(Deadline::never(), StopRequests::ignored);
    }
    return {};
}

}  // namespace coir::detail
