#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "coir/base/assert.hpp"

namespace coir::detail {

/// A number that others wait for.
///
/// The problem: whoever sees the number that it waits for may destroy the object at once, while whoever
/// changed it is still in there. So the number, the lock of the lists of those who wait, and whether anybody
/// does are one word. Each change ends with one store or compare-exchange to it, and touches nothing after
/// that. While nobody waits a change is that compare-exchange alone.
class WaitedWord final {
public:
    using Value = std::uint64_t;
    static constexpr Value kMost = ~Value{0} >> 2;

    struct State {
        Value value;
        bool has_waiters;
    };

    explicit WaitedWord(Value value) noexcept : word_(pack({value, false})) {
        COIR_CHECK(value <= kMost);
    }
    /// Requires: nobody waits.
    ~WaitedWord() { COIR_ASSERT((word_.load(std::memory_order_relaxed) & kFlags) == 0); }
    WaitedWord(const WaitedWord&) = delete;
    WaitedWord& operator=(const WaitedWord&) = delete;

    [[nodiscard]] Value value() const noexcept {
        return word_.load(std::memory_order_acquire) >> kFlagBits;
    }

    /// Makes `value` to `change(value)`, unless that is null. False also if somebody waits, or uses the
    /// lists: only who locks knows then.
    template <typename Change>
    [[nodiscard]] bool try_change(Change change) noexcept {
        std::uint64_t word = word_.load(std::memory_order_relaxed);
        while ((word & kFlags) == 0) {
            const std::optional<Value> changed = change(word >> kFlagBits);
            if (!changed) {
                return false;
            }
            if (word_.compare_exchange_weak(word, pack({*changed, false}),
                                            std::memory_order_acq_rel, std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }

    /// From now on nobody else changes the word or the lists, for a few instructions.
    [[nodiscard]] State lock() noexcept;
    /// Ends that. The last touch.
    void unlock(State state) noexcept { word_.store(pack(state), std::memory_order_release); }

private:
    static constexpr int kFlagBits = 2;
    static constexpr std::uint64_t kLocked = 1;
    static constexpr std::uint64_t kHasWaiters = 2;
    static constexpr std::uint64_t kFlags = kLocked | kHasWaiters;

    [[nodiscard]] static std::uint64_t pack(State state) noexcept {
        return state.value << kFlagBits | (state.has_waiters ? kHasWaiters : 0);
    }

    // The value, and a set of: kLocked, kHasWaiters.
    std::atomic<std::uint64_t> word_;
};

}  // namespace coir::detail
