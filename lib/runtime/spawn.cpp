#include "coir/runtime/spawn.hpp"

#include <thread>

#include "coir/base/error.hpp"
#include "coir/runtime/scope.hpp"
#include "runtime/core.hpp"
#include "runtime/fiber_launch.hpp"
#include "runtime/fiber_plate.hpp"
#include "runtime/park.hpp"
#include "runtime/task.hpp"

namespace coir::detail {
namespace {

constexpr std::size_t kCacheLine = 64;

std::byte* align_down(std::byte* address, std::size_t alignment) noexcept {
    return address - reinterpret_cast<std::uintptr_t>(address) % alignment;
}

/// Where a stack's use begins: not at the same page offset for all of them, or the hot lines of all
/// fibers would fall into the same few cache sets.
std::size_t colour_of(const StackRegion& stack) noexcept {
    constexpr std::size_t kColours = 8;
    constexpr std::size_t kStep = 2 * kCacheLine;
    const std::uintptr_t number = reinterpret_cast<std::uintptr_t>(stack.top) /
                                  stack.usable_bytes;  // of slab neighbours, in turn
    return number % kColours * kStep;
}

/// Lets go of those who may know the fiber; nobody reaches it then.
void end_bonds(FiberControl& control) noexcept {
    if (control.scope != nullptr) {
        control.scope->remove(control);
    }
    control.stop.await_unpinned();
}

}  // namespace

PreparedFiber prepare_fiber(const SpawnPlace& place, const SpawnOptions& options,
                            std::size_t storage_bytes, std::source_location site) {
    RuntimeCore* core = place.core;
    Worker* here = Worker::current();
    Task& parent = here != nullptr ? here->running_fiber().task : thread_task();
    if (core == nullptr) {
        if (here == nullptr) {
            throw std::system_error(Errc::not_a_fiber, "coir::spawn");
        }
        core = &here->core();
    } else if (here != nullptr && &here->core() != core) {
        here = nullptr;
    }
    COIR_CHECK(options.worker < static_cast<int>(core->worker_count()));
    COIR_CHECK(!options.pinned || options.worker >= 0 || here != nullptr);
    std::error_code error;
    const StackRegion stack = core->take_stack(here, options.stack_bytes, error);
    if (!stack) {
        throw std::system_error(
            error, "coir::spawn: no memory for a stack (see vm.max_map_count and ulimit -v)");
    }
    FiberControl* const control = lay_out_fiber(*core, stack, storage_bytes);
    if (control == nullptr) {  // such a callable belongs on the heap
        core->give_back_stack(stack);
        throw std::system_error(std::make_error_code(std::errc::argument_list_too_long),
                                "coir::spawn: the callable is too large for the stack");
    }
    if (here != nullptr) {
        // Seen by stop() through the end of the fiber, which comes after its start.
        Worker::count(here->spawned);
    } else if (!core->count_foreign_spawn()) {
        control->~FiberControl();
        core->give_back_stack(stack);
        core->discard_spawn();
        throw std::system_error(Errc::runtime_stopped, "coir::spawn");
    }
    control->id = here != nullptr ? here->next_fiber_id() : core->next_fiber_id();
    control->worker = options.worker;
    control->pinned = options.pinned;
    control->site = site;
    control->set_name(options.name);
    control->task.inherit(parent, place.inherits_deadline);
    if (place.scope != nullptr) {
        place.scope->add(*control);
    }
    return {control, control->storage};
}

FiberControl* lay_out_fiber(RuntimeCore& core, const StackRegion& stack,
                            std::size_t storage_bytes) noexcept {
    std::byte* const control_place = align_down(
        stack.top - FiberPlate::kBytes - colour_of(stack) - sizeof(FiberControl), kCacheLine);
    std::byte* const storage = align_down(control_place - storage_bytes, kCacheLine);
    if (storage < stack.bottom() + stack.usable_bytes / 4 * 3) {
        return nullptr;
    }
    auto* const control = ::new (control_place) FiberControl;
    control->core = &core;
    control->stack = stack;
    control->storage = storage;
    return control;
}

void make_startable(FiberControl& control) noexcept {
    SwitchState& state = control.switch_state;
    announce_fiber(state, control.name().data());
    state.stack_bottom = control.stack.bottom();
    state.stack_bytes = control.stack.usable_bytes;
    (void)make_context(control);
    FiberPlate::of(control.stack).put_up(control);
}

void launch_fiber(PreparedFiber prepared, FiberEntry entry) noexcept {
    FiberControl& control = *prepared.fiber;
    control.entry = entry;
    make_startable(control);
    boost::fibers::context* const context = control.context();
    // pairs with stop(): either it finds the plate, or this sees that it has asked all
    if (control.core->asks_all_to_stop() && this_task().shields == 0) {
        (void)control.stop.claim();  // it has not begun: there is nothing to end
    }

    Worker* const here = Worker::current();
    const bool is_here = here != nullptr && &here->core() == control.core;
    const bool wants_another =
        control.worker >= 0 &&
        !(is_here && here->index() == static_cast<std::size_t>(control.worker));
    if (wants_another) {
        control.core->worker(static_cast<std::size_t>(control.worker)).inject(*context);
    } else if (is_here) {
        here->scheduler().push(*context);
    } else {
        control.core->inject(*context);
    }
}

void discard_fiber(PreparedFiber prepared) noexcept {
    FiberControl& control = *prepared.fiber;
    RuntimeCore& core = *control.core;
    const StackRegion stack = control.stack;
    end_bonds(control);
    control.~FiberControl();
    core.give_back_stack(stack);
    core.discard_spawn();
}

void run_fiber(FiberControl& control) noexcept {
    control.entry(control.storage);
    destroy_values(control.task);  // of a detached fiber, or made by the destructors of its value
    FiberPlate::of(control.stack).take_down();
    end_bonds(control);
    Worker& worker = *Worker::current();
    if (control.is_carrier) {
        worker.scheduler().let_dispatcher_run();  // it frees the stack
    } else {
        control.core->fiber_finished(worker);
    }
}

void JoinStateBase::keep_exception() noexcept {
    exception_ = std::current_exception();
    if (scope_ != nullptr) {
        scope_->fail(*fiber_, exception_);
    }
}

bool JoinStateBase::end_run() noexcept {
    destroy_values(fiber_->task);  // a joiner finds none of them left
    // pairs with request_stop(): either it sees that the fiber has ended, or this sees it
    const bool is_detached = phase_.exchange(kFinished, std::memory_order_seq_cst) == kDetached;
    while (stoppers_.load(std::memory_order_seq_cst) != 0) {
        std::this_thread::yield();  // a few instructions
    }
    return is_detached;
}

void JoinStateBase::request_stop() noexcept {
    FiberControl* claimed = nullptr;
    stoppers_.fetch_add(1, std::memory_order_seq_cst);
    if (phase_.load(std::memory_order_seq_cst) == kRunning && fiber_->stop.claim()) {
        fiber_->stop.pin();
        fiber_->stop.next_to_stop = nullptr;
        claimed = fiber_;
    }
    stoppers_.fetch_sub(1, std::memory_order_seq_cst);
    request_stop_of_all(claimed);
}

void Completion::complete() noexcept {
    if (Waiter* const waiter = claim(slot_, kSlotClosed, kSlotClosed)) {
        wake(*waiter, WakeReason::ready);
    }
}

Result<void> Completion::wait(Deadline deadline, StopRequests stops) noexcept {
    if (is_complete()) {
        return {};
    }
    WakeReason reason;
    if (Worker* const worker = Worker::current()) {
        deadline = worker->running_fiber().task.earlier(deadline, stops);
        IoDeadline timer;
        timer.set(deadline.time_point());
        reason = park(*worker, slot_, {"the end of a fiber", stops}, [&] {
            timer.ensure_armed(slot_, worker->deadlines(), worker->poller().runtime());
        });
        timer.reset();
    } else {
        reason = park_thread(slot_, thread_task().earlier(deadline, stops));
    }
    if (is_complete()) {
        return {};
    }
    return reason == WakeReason::timed_out ? std::errc::timed_out : std::errc::operation_canceled;
}

bool Completion::is_complete() const noexcept {
    return slot_.load(std::memory_order_acquire) == kSlotClosed;
}

}  // namespace coir::detail
