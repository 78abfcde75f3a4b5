#include "runtime/timer_wheel.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "coir/base/assert.hpp"

namespace coir::detail {
namespace {

// A power of two in nanoseconds, so that counting ticks is a shift.
using Tick = std::chrono::duration<std::int64_t, std::ratio<1 << 20, 1'000'000'000>>;

constexpr std::uint64_t kNoTick = std::numeric_limits<std::uint64_t>::max();

}  // namespace

TimerWheel::TimerWheel(TimePoint start) noexcept : start_(start) {
    for (auto& level : slots_) {
        for (TimerNode& head : level) {
            head.next = head.previous = &head;
        }
    }
}

TimerWheel::TimePoint TimerWheel::time_of(std::uint64_t tick) const noexcept {
    return start_ + Tick(static_cast<Tick::rep>(tick));
}

std::uint64_t TimerWheel::tick_of(TimePoint point) const noexcept {
    if (point <= start_) {
        return 0;
    }
    // Rounded up, so that nothing fires early.
    return static_cast<std::uint64_t>(std::chrono::ceil<Tick>(point - start_).count());
}

TimerWheel::Position TimerWheel::position_of(std::uint64_t tick) const noexcept {
    // The level of the highest bit in which `tick` differs from now: below it, time has to pass
    // through that slot's boundary first.
    const std::uint64_t difference = tick ^ now_tick_;
    const unsigned level =
        difference == 0
            ? 0
            : std::min((static_cast<unsigned>(std::bit_width(difference)) - 1) / kSlotBits,
                       kLevels - 1);
    return {level, static_cast<unsigned>(tick >> (level * kSlotBits)) % kSlots};
}

void TimerWheel::link(TimerNode& node) noexcept {
    // What is farther than the wheel waits in its farthest slot, one short of a full turn, so that it
    // is never mistaken for the current slot. It is linked again from there.
    constexpr std::uint64_t kTopSlot = std::uint64_t{1} << ((kLevels - 1) * kSlotBits);
    constexpr std::uint64_t kReach = kTopSlot * (kSlots - 1);
    const Position at = position_of(std::min(node.tick, now_tick_ + kReach));
    TimerNode& head = slots_[at.level][at.slot];
    node.previous = head.previous;
    node.next = &head;
    head.previous->next = &node;
    head.previous = &node;
    occupied_[at.level] |= std::uint64_t{1} << at.slot;
}

void TimerWheel::unlink(TimerNode& node) noexcept {
    TimerNode* const next = node.next;
    next->previous = node.previous;
    node.previous->next = next;
    if (next == node.previous) {  // the head alone is left: it knows its slot by its place
        const auto index = static_cast<std::size_t>(next - &slots_[0][0]);
        occupied_[index / kSlots] &= ~(std::uint64_t{1} << (index % kSlots));
    }
    node.next = node.previous = nullptr;
}

TimerWheel::TimePoint TimerWheel::arm(TimerNode& node, TimePoint deadline) noexcept {
    COIR_ASSERT(!node.is_armed());
    node.tick =
        std::max(tick_of(deadline), now_tick_);  // what is past fires with the next expire()
    link(node);
    ++size_;
    // Rounded up, the last tick ends after the clock.
    return deadline > TimePoint::max() - Tick(1) ? TimePoint::max() : time_of(node.tick);
}

void TimerWheel::disarm(TimerNode& node) noexcept {
    if (node.is_armed()) {
        unlink(node);
        --size_;
    }
}

std::uint64_t TimerWheel::next_busy_tick() const noexcept {
    for (unsigned level = 0; level != kLevels; ++level) {
        if (occupied_[level] == 0) {
            continue;
        }
        const unsigned shift = level * kSlotBits;
        const auto current = static_cast<unsigned>(now_tick_ >> shift) % kSlots;
        // Slots before the current one belong to the next turn of the wheel (top level only).
        const auto distance = static_cast<unsigned>(
            std::countr_zero(std::rotr(occupied_[level], static_cast<int>(current))));
        if (distance == 0) {
            return now_tick_;
        }
        return ((now_tick_ >> shift) + distance) << shift;
    }
    return kNoTick;
}

void TimerWheel::cascade() noexcept {
    for (unsigned level = kLevels - 1; level != 0; --level) {
        const auto slot = static_cast<unsigned>(now_tick_ >> (level * kSlotBits)) % kSlots;
        TimerNode& head = slots_[level][slot];
        TimerNode* node = head.next;
        head.next = head.previous = &head;
        occupied_[level] &= ~(std::uint64_t{1} << slot);
        while (node != &head) {
            TimerNode* const next = node->next;
            link(*node);  // a node that has not come near falls back into this level, a turn later
            node = next;
        }
    }
}

TimerNode* TimerWheel::expire(TimePoint now) noexcept {
    // Rounded down: a tick has passed when all of it has.
    const auto target =
        now <= start_ ? 0
                      : static_cast<std::uint64_t>(std::chrono::floor<Tick>(now - start_).count());
    for (;;) {
        TimerNode& head = slots_[0][now_tick_ % kSlots];
        if (head.next != &head && now_tick_ <= target) {
            TimerNode& node = *head.next;
            unlink(node);
            --size_;
            return &node;
        }
        if (now_tick_ >= target) {
            return nullptr;
        }
        now_tick_ = std::min(std::max(next_busy_tick(), now_tick_ + 1), target);
        cascade();
    }
}

TimerWheel::TimePoint TimerWheel::next_expiry() const noexcept {
    const std::uint64_t tick = next_busy_tick();
    return tick == kNoTick ? TimePoint::max() : time_of(tick);
}

bool TimerWheel::validate() const noexcept {
    std::size_t count = 0;
    for (unsigned level = 0; level != kLevels; ++level) {
        for (unsigned slot = 0; slot != kSlots; ++slot) {
            const TimerNode& head = slots_[level][slot];
            if ((head.next != &head) != (((occupied_[level] >> slot) & 1) != 0)) {
                return false;
            }
            for (const TimerNode* node = head.next; node != &head; node = node->next) {
                if (node->next->previous != node || node->previous->next != node ||
                    node->tick < now_tick_) {
                    return false;
                }
                ++count;
            }
        }
    }
    return count == size_;
}

}  // namespace coir::detail
