#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "runtime/event_batch.hpp"
#include "runtime/io_state.hpp"

namespace coir::detail {

/// The waiters that one poll found ready, with their wake reason set. Each must be woken.
class ReadyList final {
public:
    static constexpr std::size_t kMaxEvents = 256;

    void clear() noexcept { size_ = 0; }
    void add(Waiter& waiter) noexcept { waiters_[size_++] = &waiter; }
    [[nodiscard]] std::span<Waiter* const> waiters() const noexcept {
        return {waiters_.data(), size_};
    }

private:
    std::array<Waiter*, 2 * kMaxEvents> waiters_;  // an event can end a read and a write
    std::size_t size_ = 0;
};

/// Says which poller, and of which runtime. Never reused, unlike the descriptor of an epoll: an
/// IoSource can outlive the runtime it was used in.
class PollerNumber final {
public:
    static constexpr std::uint64_t kMostWorkers = 0xffff;

    /// Requires: worker < kMostWorkers, and neither is too large for its half.
    constexpr PollerNumber(std::uint64_t runtime, std::uint64_t worker) noexcept
        : value_(runtime * (kMostWorkers + 1) + worker) {}
    constexpr explicit PollerNumber(std::uint64_t value) noexcept : value_(value) {}

    [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }
    /// Other workers' are elsewhere, and so are those of the runtimes that come next.
    [[nodiscard]] constexpr EventBatch::Gate gate() const noexcept {
        constexpr std::uint64_t kStep = 19;
        return EventBatch::Gate(value_ + kStep * runtime());
    }
    [[nodiscard]] constexpr std::uint64_t runtime() const noexcept {
        return value_ / (kMostWorkers + 1);
    }
    friend bool operator==(PollerNumber, PollerNumber) noexcept = default;

private:
    std::uint64_t value_;
};

/// Turns kernel events into ready fibers; one per worker. The only door to epoll.
class Poller final {
public:
    using Clock = Deadline::Clock;

    /// Errors: std::system_error where the kernel refuses an epoll, an eventfd or a timerfd.
    explicit Poller(PollerNumber number);

    /// Waits until something is ready, `until` passes or interrupt() is called, and adds what is
    /// ready to `ready`. A time that has passed only looks. Threads: its worker.
    void wait(Clock::time_point until, ReadyList& ready) noexcept;
    /// Only looks. Threads: any, with a ReadyList and an event array of its own: an idle worker does
    /// this for one that is busy.
    void look(ReadyList& ready) noexcept;

    /// Ends a wait(). Cost: one system call. Threads: any.
    void interrupt() noexcept;

    /// Registers the descriptor here, and takes it from the poller where it was, so that an edge in
    /// `direction` is reported. Nothing to do in the usual case that it is registered already.
    /// `again` asks for a report of what is true now, though it may have been reported before.
    /// Threads: the fiber that is about to wait in `direction`.
    [[nodiscard]] Result<void> watch(int fd, IoState& state, IoState::Direction direction,
                                     bool again, bool& moved) noexcept;
    /// Whether watch() would have nothing to do. Threads: as there.
    [[nodiscard]] bool watches(const IoState& state, IoState::Direction direction) const noexcept {
        return state.poller.load(std::memory_order_acquire) == number_.value() &&
               (state.interest.load(std::memory_order_relaxed) & interest_of(direction)) != 0 &&
               state.waits_abroad.load(std::memory_order_relaxed) == 0;
    }

    [[nodiscard]] std::uint64_t runtime() const noexcept { return number_.runtime(); }
    [[nodiscard]] std::uint64_t polls() const noexcept {
        return polls_.load(std::memory_order_relaxed);
    }

private:
    [[nodiscard]] static constexpr std::uint32_t interest_of(
        IoState::Direction direction) noexcept {
        return direction == IoState::reading ? EPOLLIN | EPOLLPRI | EPOLLRDHUP : EPOLLOUT;
    }
    [[nodiscard]] Result<void> register_here(int fd, IoState& state, IoState::Direction direction,
                                             bool again, bool& moved) noexcept;
    /// Takes the descriptor from the poller where it is, to this one. Under state.moving.
    [[nodiscard]] Result<void> move_here(int fd, IoState& state, IoState::Direction direction,
                                         std::uint32_t events) noexcept;
    void add_own(int fd, std::uint64_t tag);
    void take_own(std::uint64_t tag) noexcept;
    [[nodiscard]] int wait_for_events(int milliseconds) noexcept;
    [[nodiscard]] int wait_for_events_until(Clock::time_point until) noexcept;
    [[nodiscard]] bool alarm_rings_by(Clock::time_point until) noexcept;
    void deliver(std::span<const epoll_event> events, ReadyList& ready) noexcept;

    const PollerNumber number_;
    const EventBatch::Gate gate_;
    UniqueFd epoll_;
    UniqueFd event_;  // interrupt()
    UniqueFd alarm_;  // a timerfd, for waits that end far away
    Clock::time_point alarm_at_ = Clock::time_point::max();
    std::atomic<std::uint64_t> polls_{0};
    bool has_pwait2_ = true;
    std::array<epoll_event, ReadyList::kMaxEvents> events_;
};

}  // namespace coir::detail
