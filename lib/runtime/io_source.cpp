#include "coir/runtime/io_source.hpp"

#include <poll.h>

#include <algorithm>

#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "coir/base/syscall.hpp"
#include "coir/runtime/session.hpp"
#include "runtime/io_state.hpp"
#include "runtime/park.hpp"
#include "runtime/session_control.hpp"
#include "runtime/worker.hpp"

namespace coir {

using detail::IoState;

IoSource::IoSource(IoSource&& other) noexcept
    : fd_(std::move(other.fd_)), state_(other.state_.exchange(nullptr)) {}

IoSource& IoSource::operator=(IoSource&& other) noexcept {
    if (this != &other) {
        this->~IoSource();
        ::new (this) IoSource(std::move(other));
    }
    return *this;
}

IoSource::~IoSource() {
    IoState* const state = state_.load(std::memory_order_acquire);
    if (state != nullptr) {
        // Who was told of a close() may come here before the call that told it is done.
        state->await_closers();
        for (const Slot& slot : state->slots) {
            COIR_ASSERT(!detail::holds_waiter(slot));  // a fiber waits here, and would for good
        }
    }
    fd_.reset();  // takes it out of its epoll as well, unless somebody has a duplicate
    if (state != nullptr) {
        IoState::recycle(state);
    }
}

IoState* IoSource::state() noexcept {
    IoState* state = state_.load(std::memory_order_acquire);
    if (state != nullptr) {
        return state;
    }
    IoState* const fresh = IoState::acquire();
    if (fresh == nullptr || state_.compare_exchange_strong(state, fresh)) {
        return fresh;
    }
    IoState::recycle(fresh);  // the other direction's fiber was faster
    return state;
}

/// A plain thread waits in short turns, so that it sees a cancel().
Result<void> IoSource::wait_on_thread(int direction, Deadline deadline) noexcept {
    using namespace std::chrono;
    if (!fd_) {
        return std::errc::bad_file_descriptor;  // as epoll says; poll() would ignore it
    }
    IoState* const state = this->state();
    if (state == nullptr) {
        return std::errc::not_enough_memory;
    }
    deadline = detail::thread_task().earlier(deadline, StopRequests::obeyed);
    const short events = direction == IoState::reading ? POLLIN : POLLOUT;
    constexpr milliseconds kTurn{50};
    for (;;) {
        if (state->canceled.load(std::memory_order_acquire)) {
            return std::errc::operation_canceled;
        }
        auto turn = kTurn;
        if (!deadline.is_never()) {
            const auto now = Deadline::Clock::now();
            turn = deadline.has_passed(now)
                       ? milliseconds::zero()
                       : std::min(ceil<milliseconds>(deadline.time_point() - now), kTurn);
        }
        pollfd entry{fd_.get(), events, 0};
        const int count = ::poll(&entry, 1, static_cast<int>(turn.count()));
        if (count > 0) {
            return {};
        }
        if (count < 0) {
            if (const auto error = syscall::last_error(); error != std::errc::interrupted) {
                return error;
            }
        }
        if (deadline.has_passed(Deadline::Clock::now())) {
            return std::errc::timed_out;
        }
    }
}

inline IoState* IoSource::prepared_state(const detail::Worker& worker,
                                         int direction) const noexcept {
    IoState* const state = state_.load(std::memory_order_acquire);
    return state != nullptr && !state->canceled.load(std::memory_order_acquire) &&
                   state->ends[direction].load(std::memory_order_acquire) == 0 &&
                   worker.poller().watches(*state, static_cast<IoState::Direction>(direction))
               ? state
               : nullptr;
}

Result<IoSource::Slot*> IoSource::prepare_wait(int direction, Deadline deadline) noexcept {
    IoState* const state = this->state();
    if (state == nullptr) {
        return std::errc::not_enough_memory;
    }
    detail::Worker* const worker = detail::Worker::current();
    if (worker == nullptr) {
        return Errc::not_a_fiber;
    }
    if (state->canceled.load(std::memory_order_acquire)) {
        return std::errc::operation_canceled;
    }
    const auto end = state->take_end(static_cast<IoState::Direction>(direction));
    if (end == IoState::End::news) {
        return nullptr;  // no edge will come any more; the read or write will say what happened
    }
    bool moved = false;
    if (auto watched =
            worker->poller().watch(fd_.get(), *state, static_cast<IoState::Direction>(direction),
                                   end == IoState::End::told, moved);
        !watched) {
        return watched.error();
    }
    if (moved) {
        detail::Worker::count(worker->migrations);
    }
    state->deadlines[direction].set(deadline.time_point());
    return &state->slots[direction];
}

Result<void> IoSource::wait(int direction, Deadline deadline) noexcept {
    detail::Worker* const worker = detail::Worker::current();
    if (worker == nullptr) {
        return wait_on_thread(direction, deadline);
    }
    detail::FiberControl& fiber = worker->running_fiber();
    if (fiber.stop.is_requested() && fiber.task.obeys(StopRequests::obeyed)) {
        return std::errc::operation_canceled;  // also if there is something to read
    }
    deadline = fiber.task.earlier(deadline, StopRequests::obeyed);
    COIR_TRY(Slot* const slot, prepare_wait(direction, deadline));
    if (slot == nullptr) {
        return {};
    }
    detail::IoDeadline& timer = state_.load(std::memory_order_relaxed)->deadlines[direction];
    const auto arm = [&] {
        timer.ensure_armed(*slot, worker->deadlines(), worker->poller().runtime());
    };
    const detail::Wait how{direction == IoState::reading ? "bytes to read" : "room to write",
                           StopRequests::obeyed, fd_.get()};
    return detail::result_of(detail::park(*worker, *slot, how, arm));
}

// As detail::park(), without a fiber.
std::optional<Result<void>> IoSource::begin_wait(detail::SessionControl& session,
                                                 const NextTurn& next) noexcept {
    if (next.is_at_once()) {
        return is_canceled() ? Result<void>(std::errc::operation_canceled) : Result<void>();
    }
    detail::Worker& worker = *detail::Worker::current();
    IoState* state = prepared_state(worker, IoState::reading);
    if (state != nullptr) [[likely]] {
        state->deadlines[IoState::reading].set(next.deadline().time_point());
    } else {
        const auto prepared = prepare_wait(IoState::reading, next.deadline());
        if (!prepared) {
            return prepared.error();
        }
        if (*prepared == nullptr) {
            return Result<void>();
        }
        state = state_.load(std::memory_order_relaxed);
    }
    Slot& slot = state->slots[IoState::reading];
    if (const auto early = slot.load(std::memory_order_acquire); early != detail::kSlotEmpty) {
        COIR_ASSERT(!detail::holds_waiter(early));  // somebody else waits here
        return detail::result_of(detail::consume(slot));
    }
    session.note_wait(slot, fd_.get());
    detail::Worker::count(worker.waits);
    session.parking.store(true, std::memory_order_relaxed);  // published by the exchange
    const auto address = reinterpret_cast<std::uintptr_t>(static_cast<detail::Waiter*>(&session));
    std::uintptr_t held = detail::kSlotEmpty;
    std::optional<detail::WakeReason> over;
    // pairs with claim(): whoever takes the waiter out sees all of it
    if (!slot.compare_exchange_strong(held, address, std::memory_order_seq_cst,
                                      std::memory_order_acquire)) {
        over = detail::consume(slot);
    } else if (held = address;
               session.stop_requested.load(std::memory_order_seq_cst) &&
               slot.compare_exchange_strong(held, detail::kSlotEmpty, std::memory_order_seq_cst)) {
        over = detail::WakeReason::canceled;  // pairs with SessionList::request_stop()
    }
    if (!over) {
        state->deadlines[IoState::reading].ensure_armed(slot, worker.deadlines(),
                                                        worker.poller().runtime());
        session.parking.store(false, std::memory_order_release);  // pairs with await_parked()
        return std::nullopt;
    }
    session.parking.store(false, std::memory_order_relaxed);
    detail::Worker::count(worker.wakes);
    return detail::result_of(*over);
}

std::optional<Result<void>> IoSource::try_wait(int direction) noexcept {
    IoState* const state = state_.load(std::memory_order_acquire);
    if (state == nullptr) {
        return std::nullopt;
    }
    if (state->canceled.load(std::memory_order_acquire)) {
        return std::errc::operation_canceled;
    }
    std::uintptr_t held = detail::kSlotReady;
    if (state->slots[direction].compare_exchange_strong(held, detail::kSlotEmpty,
                                                        std::memory_order_acq_rel)) {
        return Result<void>();
    }
    return std::nullopt;
}

void IoSource::restore_readiness(int direction) noexcept {
    std::uintptr_t held = detail::kSlotEmpty;
    state_.load(std::memory_order_acquire)
        ->slots[direction]
        .compare_exchange_strong(held, detail::kSlotReady, std::memory_order_acq_rel);
}

Result<void> IoSource::wait_readable(Deadline deadline) noexcept {
    return wait(IoState::reading, deadline);
}

Result<void> IoSource::wait_writable(Deadline deadline) noexcept {
    return wait(IoState::writing, deadline);
}

void IoSource::wake_reader() noexcept {
    IoState* const state = this->state();
    if (state == nullptr) {
        return;  // whoever waits has one
    }
    if (detail::Waiter* const waiter =
            detail::claim(state->slots[IoState::reading], detail::kSlotEmpty, detail::kSlotReady)) {
        detail::wake(*waiter, detail::WakeReason::ready);
    }
}

// Returns whom to tell.
std::stop_source IoSource::end_waits(bool shut_down) noexcept {
    IoState* const state = this->state();
    if (state == nullptr) {
        return std::stop_source(std::nostopstate);
    }
    // From the next line on the owner may learn of it and destroy *this; its destructor waits for us.
    state->closers.fetch_add(1, std::memory_order_relaxed);
    state->canceled.store(true, std::memory_order_seq_cst);
    if (shut_down) {
        // Its error says that this is no socket, or that the peer was faster.
        (void)syscall::shutdown(fd_.get(), SHUT_RDWR);
    }
    std::uintptr_t held[2];
    for (int direction : {IoState::reading, IoState::writing}) {
        held[direction] =
            state->slots[direction].exchange(detail::kSlotClosed, std::memory_order_acq_rel);
    }
    std::stop_source listener = state->listener();
    state->closers.fetch_sub(1, std::memory_order_release);  // pairs with await_closers()
    // Nothing of *this from here on. The waiters are ours until they are woken.
    for (const std::uintptr_t waiter : held) {
        if (detail::holds_waiter(waiter)) {
            detail::wake(*reinterpret_cast<detail::Waiter*>(waiter), detail::WakeReason::canceled);
        }
    }
    return listener;
}

Result<void> IoSource::stop_on_hang_up(std::stop_source listener) noexcept {
    IoState* const state = this->state();
    detail::Worker* const worker = detail::Worker::current();
    if (state == nullptr || worker == nullptr) {
        return state == nullptr ? make_error_code(std::errc::not_enough_memory)
                                : make_error_code(Errc::not_a_fiber);
    }
    // Set first, then the look: whoever reports an end looks for a listener after that.
    state->set_listener(listener, worker->scheduler().is_alone());
    bool moved = false;
    if (auto watched = worker->poller().watch(fd_.get(), *state, IoState::reading, false, moved);
        !watched) {
        forget_hang_up();
        return watched;
    }
    if (moved) {
        detail::Worker::count(worker->migrations);
    }
    if (state->has_ended() || is_canceled()) {
        listener.request_stop();
    }
    return {};
}

void IoSource::forget_hang_up() noexcept {
    if (IoState* const state = state_.load(std::memory_order_acquire)) {
        state->set_listener(std::stop_source(std::nostopstate), false);
    }
}

void IoSource::cancel() noexcept {
    (void)end_waits(false).request_stop();
}

std::stop_source IoSource::cancel_untold() noexcept {
    return end_waits(false);
}

void IoSource::close() noexcept {
    (void)end_waits(true).request_stop();
}

bool IoSource::must_give_up() const noexcept {
    return is_canceled() || detail::must_stop();
}

bool IoSource::has_met_urgent_data() const noexcept {
    const IoState* const state = state_.load(std::memory_order_acquire);
    return state != nullptr && state->urgent.load(std::memory_order_relaxed);
}

bool IoSource::is_canceled() const noexcept {
    const IoState* const state = state_.load(std::memory_order_acquire);
    return state != nullptr && state->canceled.load(std::memory_order_acquire);
}

}  // namespace coir
