#include "coir/runtime/session.hpp"

#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/context_node.hpp"
#include "runtime/core.hpp"
#include "runtime/session_control.hpp"
#include "runtime/session_turns.hpp"
#include "runtime/task.hpp"

namespace coir::detail {
namespace {

// Of one session whose waits are over at once, before others get theirs.
constexpr unsigned kTurnsInARow = 16;

std::size_t bytes_of(const SessionType& type) noexcept {
    return sizeof(SessionControl) + type.bytes;
}

void free_session(SessionControl& session) noexcept {
    SessionMemory& memory = session.home->session_memory();
    const std::size_t bytes = bytes_of(*session.type);
    session.~SessionControl();
    memory.give_back(&session, bytes);
}

/// What the session carries from turn to turn becomes the running fiber's.
void lend_values(SessionControl& session, Task& task) noexcept {
    task.context = std::exchange(session.context, nullptr);
    if (session.has_locals) [[unlikely]] {
        session.has_locals = false;
        task.locals = session.locals;
    }
}

void take_values_back(SessionControl& session, Task& task) noexcept {
    session.context = std::exchange(task.context, nullptr);
    if (task.locals != nullptr) [[unlikely]] {
        session.has_locals = true;
        session.locals = std::exchange(task.locals, nullptr);
    }
}

/// With callbacks, unless that has happened. Of the running fiber.
void ask_to_stop(FiberControl& carrier) noexcept {
    if (carrier.stop.claim()) {
        carrier.stop.pin();
        carrier.stop.next_to_stop = nullptr;
        request_stop_of_all(&carrier);
    }
}

/// The carrier, the running fiber, has the session's values.
void end_session(SessionControl& session, FiberControl& carrier) noexcept {
    RuntimeCore& core = session.home->core();
    session.home->sessions().remove(session);
    session.type->destroy(session.storage());
    destroy_values(carrier.task);
    carrier.carries.store(nullptr, std::memory_order_relaxed);
    free_session(session);
    Worker& worker = *Worker::current();
    worker.scheduler().forgive_end();
    core.fiber_finished(worker);  // the last: the runtime may stop
}

}  // namespace

PreparedSession prepare_session(const SessionOptions& options, const SessionType& type) {
    Worker* const worker = Worker::current();
    if (worker == nullptr) {
        throw std::system_error(Errc::not_a_fiber, "coir::start_session");
    }
    worker->carriers().reserve(options);
    void* const memory = worker->session_memory().take(bytes_of(type));
    auto* const session = ::new (memory) SessionControl(*worker, type, options);
    session->id = worker->next_fiber_id();
    return {session, session->storage()};
}

void launch_session(PreparedSession prepared) noexcept {
    SessionControl& session = *prepared.control;
    // The object's constructor may have come to another worker.
    Worker& worker = *Worker::current();
    session.context = share(worker.running_fiber().task.context);
    Worker::count(worker.spawned);
    session.home->sessions().add(session);
    // pairs with stop(): either it finds the session, or this sees that it has asked all
    if (worker.core().asks_all_to_stop() && worker.running_fiber().task.shields == 0) {
        session.stop_requested.store(true, std::memory_order_relaxed);
    }
    worker.scheduler().push(session);
}

void discard_session(PreparedSession prepared) noexcept {
    free_session(*prepared.control);
}

void run_turns(SessionControl& session, FiberControl& carrier) noexcept {
    Task& task = carrier.task;
    carrier.carries.store(&session, std::memory_order_relaxed);
    std::optional<Result<void>> waited = result_of(session.reason);
    unsigned in_a_row = 0;
    for (;;) {
        if (session.stop_requested.load(std::memory_order_seq_cst)) [[unlikely]] {
            ask_to_stop(carrier);
            waited = std::errc::operation_canceled;
        }
        lend_values(session, task);
        const NextTurn next = session.type->turn(session.storage(), *waited);
        COIR_ASSERT(task.shields == 0 &&
                    task.deadline.is_never());  // they would be the next session's
        if (next.source() == nullptr) {
            end_session(session, carrier);
            return;
        }
        take_values_back(session, task);
        if (carrier.stop.is_requested()) [[unlikely]] {
            waited = std::errc::operation_canceled;
        } else {
            waited = session.begin_wait(next);
        }
        if (!waited) {
            break;
        }
        Worker::current()->scheduler().count_turn();
        if (++in_a_row % kTurnsInARow == 0) {
            this_fiber::yield();
        }
    }
    carrier.carries.store(nullptr, std::memory_order_relaxed);
}

bool SessionControl::claim_for_stop() noexcept {
    stop_requested.store(true, std::memory_order_seq_cst);
    auto* const its_slot = slot.load(std::memory_order_seq_cst);
    if (its_slot == nullptr) {
        return false;
    }
    // Only looked at where it waits no more: the memory may be away.
    const auto own = reinterpret_cast<std::uintptr_t>(static_cast<Waiter*>(this));
    auto held = its_slot->load(std::memory_order_seq_cst);
    // pairs with IoSource::begin_wait(): if it is not in there yet, it will look for a request when it is
    return held == own &&
           its_slot->compare_exchange_strong(held, kSlotEmpty, std::memory_order_seq_cst);
}

void SessionControl::make_ready(ForeignWaiter& waiter, Worker* here) noexcept {
    auto& session = static_cast<SessionControl&>(waiter);
    session.await_parked();
    RuntimeCore& core = session.home->core();
    if (here != nullptr && &here->core() == &core) {
        Worker::count(here->wakes);
        here->scheduler().push(session);
    } else {
        core.count_foreign_wake();
        core.inject(session);
    }
}

}  // namespace coir::detail
