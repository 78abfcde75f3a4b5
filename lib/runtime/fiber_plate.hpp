#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>

#include "runtime/stack_pool.hpp"

namespace coir::detail {

class FiberControl;

/// What says at the top of a stack which fiber lives on it: all plates together are the registry of
/// fibers.
///
/// The problem: a list of all fibers costs every spawn and every end a contended lock. But the slabs
/// know all stacks; so a fiber only puts up its plate, and who wants to see all fibers walks the slabs. A
/// stack that has never been used, or whose pages went back to the kernel, reads as zero: nobody home.
class FiberPlate final {
public:
    static constexpr std::size_t kBytes = 64;  // a line: its neighbours below are the hot ones

    [[nodiscard]] static FiberPlate& of(const StackRegion& stack) noexcept {
        return *reinterpret_cast<FiberPlate*>(stack.top - kBytes);
    }

    /// In one order with the visits: who has not been seen by one sees what was written before it.
    void put_up(FiberControl& fiber) noexcept {
        fiber_ref().store(&fiber, std::memory_order_seq_cst);  // pairs with visit()
    }
    /// Returns when nobody looks at the fiber any more.
    void take_down() noexcept {
        const std::lock_guard guard(*this);
        fiber_ref().store(nullptr, std::memory_order_relaxed);
    }
    /// Calls `look` with the fiber, if there is one. It cannot end meanwhile.
    template <typename F>
    void visit(F look) {
        if (fiber_ref().load(std::memory_order_seq_cst) == nullptr) {
            return;  // without a lock, which would make a page of an unused stack
        }
        const std::lock_guard guard(*this);
        if (FiberControl* const fiber = fiber_ref().load(std::memory_order_acquire)) {
            look(*fiber);
        }
    }

    void lock() noexcept {
        const std::atomic_ref locked(locked_);
        while (locked.exchange(1, std::memory_order_acquire) != 0) {
            std::this_thread::yield();
        }
    }
    void unlock() noexcept { std::atomic_ref(locked_).store(0, std::memory_order_release); }

private:
    // Not atomic members: nobody constructs a plate, it is what the kernel's zeros mean.
    [[nodiscard]] std::atomic_ref<FiberControl*> fiber_ref() noexcept {
        return std::atomic_ref(fiber_);
    }
    FiberControl* fiber_;
    std::uint32_t locked_;
};

static_assert(sizeof(FiberPlate) <= FiberPlate::kBytes);

}  // namespace coir::detail
