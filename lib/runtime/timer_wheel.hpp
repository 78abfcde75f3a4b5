#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace coir::detail {

/// A deadline that a TimerWheel holds. Lives in its owner's frame; not copied, not moved.
struct TimerNode {
    TimerNode* next = nullptr;
    TimerNode* previous = nullptr;
    std::uint64_t tick = 0;

    [[nodiscard]] bool is_armed() const noexcept { return next != nullptr; }
};

/// Deadlines in coarse order: arming and disarming cost a few stores, however many there are.
///
/// The problem: every read of an idle connection has a deadline that almost never passes. The wheel
/// (Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987) has levels of 64 slots;
/// a node lies in the level whose slot width fits its distance and falls to a finer level as time
/// passes. One tick is 2^20 ns, about a millisecond; a deadline never fires early, and late by less than a tick
/// plus the time to the next advance().
///
/// Threads: none of its own; its user locks. `now` is an argument.
class TimerWheel final {
public:
    using Clock = std::chrono::steady_clock;
    using TimePoint = Clock::time_point;

    explicit TimerWheel(TimePoint start) noexcept;
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;

    /// Returns when expire() will give it: not before its deadline. Requires: !node.is_armed().
    TimePoint arm(TimerNode& node, TimePoint deadline) noexcept;
    /// Does nothing if the node is not armed (any more).
    void disarm(TimerNode& node) noexcept;

    /// Takes out a node whose deadline is not after `now`; null when there is none left. Call it
    /// until it gives null: only then has the wheel's time reached `now`.
    [[nodiscard]] TimerNode* expire(TimePoint now) noexcept;

    /// A point at or before the earliest deadline at which expire() has something to do;
    /// TimePoint::max() when the wheel is empty.
    [[nodiscard]] TimePoint next_expiry() const noexcept;

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Checks every link and slot; for tests.
    [[nodiscard]] bool validate() const noexcept;

private:
    static constexpr unsigned kSlotBits = 6;
    static constexpr unsigned kSlots = 1U << kSlotBits;
    static constexpr unsigned kLevels = 6;  // 64^6 ms: two years

    struct Position {
        unsigned level;
        unsigned slot;
    };

    [[nodiscard]] TimePoint time_of(std::uint64_t tick) const noexcept;
    [[nodiscard]] std::uint64_t tick_of(TimePoint point) const noexcept;
    [[nodiscard]] Position position_of(std::uint64_t tick) const noexcept;
    void link(TimerNode& node) noexcept;
    void unlink(TimerNode& node) noexcept;
    void cascade() noexcept;
    [[nodiscard]] std::uint64_t next_busy_tick() const noexcept;

    TimePoint start_;
    std::uint64_t now_tick_ = 0;
    std::size_t size_ = 0;
    // Bit s of occupied_[l] is set if slot s of level l has a node.
    std::array<std::uint64_t, kLevels> occupied_{};
    // Circular lists with the head as sentinel.
    std::array<std::array<TimerNode, kSlots>, kLevels> slots_;
};

}  // namespace coir::detail
