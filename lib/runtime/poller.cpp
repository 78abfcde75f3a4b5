#include "runtime/poller.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <mutex>

#include "coir/base/assert.hpp"
#include "coir/base/syscall.hpp"

namespace coir::detail {
namespace {

// Tags of a poller's own descriptors: no IoState has so low an address.
constexpr std::uint64_t kInterruptTag = 0;
constexpr std::uint64_t kAlarmTag = 1;
constexpr std::uint64_t kLastOwnTag = kAlarmTag;

// A wait with a timeout makes the kernel start and stop a timer, a tenth of a request. A time that is
// further away is left to the alarm, which is set once and stays set for many waits.
constexpr std::chrono::milliseconds kAlarmFrom{20};

// A fiber may be stolen for one burst and be back home for the next: moving its descriptor each time
// would cost two system calls a request. The second wait abroad in a row says that it has settled.
constexpr std::uint8_t kSettledAfter = 2;

timespec to_timespec(Deadline::Clock::duration duration) noexcept {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
    return {static_cast<time_t>(seconds.count()), static_cast<long>((duration - seconds).count())};
}

}  // namespace

Poller::Poller(PollerNumber number) : number_(number), gate_(number.gate()) {
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) {
        throw std::system_error(syscall::last_error(), "epoll_create1");
    }
    event_.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!event_) {
        throw std::system_error(syscall::last_error(), "eventfd");
    }
    alarm_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!alarm_) {
        throw std::system_error(syscall::last_error(), "timerfd_create");
    }
    add_own(event_.get(), kInterruptTag);
    add_own(alarm_.get(), kAlarmTag);
}

void Poller::add_own(int fd, std::uint64_t tag) {
    // Level-triggered: another worker that looks here must not use the event up.
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = tag;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) {
        throw std::system_error(syscall::last_error(), "epoll_ctl");
    }
}

void Poller::wait(Clock::time_point until, ReadyList& ready) noexcept {
    polls_.store(polls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    int count;
    if (until == Clock::time_point::min()) {
        count = wait_for_events(0);
    } else if (until == Clock::time_point::max() || alarm_rings_by(until)) {
        count = wait_for_events(-1);
    } else {
        count = wait_for_events_until(until);
    }
    if (count <= 0) {
        return;  // an error is EINTR: look again later
    }
    const std::span<const epoll_event> events(events_.data(), static_cast<std::size_t>(count));
    deliver(events, ready);
    for (const epoll_event& event : events) {
        if (event.data.u64 <= kLastOwnTag) {
            take_own(event.data.u64);
        }
    }
}

int Poller::wait_for_events(int milliseconds) noexcept {
    return ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()),
                        milliseconds);
}

int Poller::wait_for_events_until(Clock::time_point until) noexcept {
    // Compared first: of a time before the clock's beginning the distance may not fit.
    const auto now = Clock::now();
    if (until <= now) {
        return wait_for_events(0);
    }
    const auto left = until - now;
    if (has_pwait2_) {
        const timespec timeout = to_timespec(left);
        const int count = ::epoll_pwait2(epoll_.get(), events_.data(),
                                         static_cast<int>(events_.size()), &timeout, nullptr);
        // Linux before 5.11, and sandboxes that do not know the call.
        const std::error_code error = count < 0 ? syscall::last_error() : std::error_code{};
        has_pwait2_ = error != std::errc::function_not_supported &&
                      error != std::errc::operation_not_permitted;
        if (has_pwait2_) {
            return count;
        }
    }
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return wait_for_events(
        static_cast<int>(std::min<std::int64_t>(milliseconds, std::numeric_limits<int>::max())));
}

// False if `until` is too near, or the kernel refuses.
bool Poller::alarm_rings_by(Clock::time_point until) noexcept {
    // It may ring early for one that has gone; but it must not have rung already.
    if (alarm_at_ <= until) {
        return true;
    }
    if (until < coarse_now() + kAlarmFrom) {
        return false;
    }
    itimerspec setting{};
    setting.it_value = to_timespec(until.time_since_epoch());
    if (::timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &setting, nullptr) != 0) {
        return false;
    }
    alarm_at_ = until;
    return true;
}

void Poller::take_own(std::uint64_t tag) noexcept {
    std::uint64_t value = 0;
    const int fd = tag == kAlarmTag ? alarm_.get() : event_.get();
    (void)syscall::read(fd, std::as_writable_bytes(std::span(&value, 1)));
    if (tag == kAlarmTag) {
        alarm_at_ = Clock::time_point::max();
    }
}

void Poller::look(ReadyList& ready) noexcept {
    std::array<epoll_event, 32> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
    if (count > 0) {
        deliver({events.data(), static_cast<std::size_t>(count)}, ready);
    }
}

void Poller::deliver(std::span<const epoll_event> events, ReadyList& ready) noexcept {
    EventBatch batch(gate_);
    for (const epoll_event& event : events) {
        if (event.data.u64 <= kLastOwnTag) {
            continue;
        }
        IoState* const state = IoState::find(event.data.u64);
        if (state == nullptr) {
            continue;
        }
        std::uint32_t bits = event.events;
        if ((bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
            state->report_end(IoState::reading, event.data.u64);
            bits |= EPOLLIN;
        }
        if ((bits & (EPOLLHUP | EPOLLERR)) != 0) {
            state->report_end(IoState::writing, event.data.u64);
            bits |= EPOLLOUT;
        }
        if ((bits & EPOLLPRI) != 0) {
            // Before the slot, by which the reader sees it.
            state->urgent.store(true, std::memory_order_relaxed);
            bits |= EPOLLIN;
        }
        if ((bits & EPOLLIN) != 0) {
            if (Waiter* waiter = claim(state->slots[IoState::reading], kSlotEmpty, kSlotReady)) {
                ready.add(*waiter);
            }
        }
        if ((bits & EPOLLOUT) != 0) {
            if (Waiter* waiter = claim(state->slots[IoState::writing], kSlotEmpty, kSlotReady)) {
                ready.add(*waiter);
            }
        }
        if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
            std::stop_source listener = state->listener();
            if (listener.stop_possible()) {
                // The last: a callback may destroy the descriptor's owner.
                batch.leave_for([&] { listener.request_stop(); });
            }
        }
    }
}

void Poller::interrupt() noexcept {
    const std::uint64_t one = 1;
    (void)syscall::write(event_.get(), std::as_bytes(std::span(&one, 1)));
}

Result<void> Poller::watch(int fd, IoState& state, IoState::Direction direction, bool again,
                           bool& moved) noexcept {
    const std::uint32_t wanted = interest_of(direction);
    if (state.poller.load(std::memory_order_acquire) == number_.value() &&
        (state.interest.load(std::memory_order_relaxed) & wanted) != 0 && !again) {
        if (state.waits_abroad.load(std::memory_order_relaxed) != 0) {
            state.waits_abroad.store(0, std::memory_order_relaxed);
        }
        return {};
    }
    // The other direction's fiber may come here at the same time, from another thread.
    const std::lock_guard lock(state.moving);
    return register_here(fd, state, direction, again, moved);
}

Result<void> Poller::register_here(int fd, IoState& state, IoState::Direction direction, bool again,
                                   bool& moved) noexcept {
    const std::uint32_t wanted = interest_of(direction);
    const PollerNumber home(state.poller.load(std::memory_order_relaxed));
    const std::uint32_t interest = state.interest.load(std::memory_order_relaxed);
    const bool other_waits =
        holds_waiter(state.slots[1 - direction].load(std::memory_order_acquire));
    // The poller of another runtime may be gone, or turn no more.
    const bool is_abroad = home != number_ && home.runtime() == number_.runtime();
    if (is_abroad && (interest & wanted) != 0 && !again) {
        const auto waits =
            static_cast<std::uint8_t>(state.waits_abroad.load(std::memory_order_relaxed) + 1);
        if (other_waits || waits < kSettledAfter) {
            state.waits_abroad.store(other_waits ? 0 : waits, std::memory_order_relaxed);
            return {};  // the poller that has it will wake us, and take us home
        }
    }
    // ADD and MOD report what is ready now as a new edge, so nothing is lost in between.
    if (home == number_ || (is_abroad && other_waits)) {
        epoll_event event{};
        event.events = interest | wanted | EPOLLET;
        event.data.u64 = state.tag();
        if (::epoll_ctl(state.epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0) {
            return syscall::last_error();
        }
    } else {
        moved = home.value() != 0;
        if (auto done = move_here(fd, state, direction, interest | wanted); !done) {
            return done;
        }
    }
    state.interest.store(interest | wanted, std::memory_order_relaxed);
    state.waits_abroad.store(0, std::memory_order_relaxed);
    return {};
}

Result<void> Poller::move_here(int fd, IoState& state, IoState::Direction direction,
                               std::uint32_t events) noexcept {
    if (state.poller.load(std::memory_order_relaxed) != 0) {
        // Fails if that poller has gone with its runtime; then there is nothing to delete.
        (void)::epoll_ctl(state.epoll_fd, EPOLL_CTL_DEL, fd, nullptr);
    }
    state.gates |= gate_.bit();
    epoll_event event{};
    event.events = events | EPOLLET;
    event.data.u64 = state.tag();
    int done = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    if (done < 0 && syscall::last_error() == std::errc::file_exists) {
        // An earlier owner of the number has closed it, but somebody had a duplicate, and it came back.
        done = ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
    }
    if (done < 0) {
        const std::error_code error = syscall::last_error();
        state.poller.store(0, std::memory_order_release);
        // The other direction's fiber may rely on the registration that is gone: let it look again.
        if (Waiter* const waiter = claim(state.slots[1 - direction], kSlotEmpty, kSlotReady)) {
            wake(*waiter, WakeReason::ready);
        }
        return error;
    }
    state.epoll_fd = epoll_.get();
    state.poller.store(number_.value(), std::memory_order_release);
    return {};
}

}  // namespace coir::detail
