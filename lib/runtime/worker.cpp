#include "runtime/worker.hpp"

#include <pthread.h>

#include <boost/fiber/algo/round_robin.hpp>
#include <boost/fiber/operations.hpp>
#include <cstdio>
#include <new>

#include "coir/base/opaque.hpp"
#include "runtime/core.hpp"
#include "runtime/stack_overflow.hpp"
#include "runtime/usable_cpus.hpp"

namespace coir::detail {
namespace {

thread_local Worker* current_worker = nullptr;

/// Our part of a context that Boost made: the thread's own and the dispatcher.
///
/// Deleting a FiberControl frees nothing; these few bytes per worker live in the worker.
FiberControl& equip(boost::fibers::context& context, void* place) {
    auto* const control = ::new (place) FiberControl;
    control->set_context(&context);
    context.set_properties(control);
    return *control;
}

}  // namespace

Worker::Worker(RuntimeCore& core, std::size_t index, StackSlabs& slabs, std::size_t warm_stacks)
    : core_(core),
      index_(index),
      poller_({core.number(), index}),
      stacks_(slabs, warm_stacks),
      deadlines_(std::make_shared<DeadlineWheel>(TimerWheel::Clock::now())) {}

Worker::~Worker() {
    deadlines_->end();
}

COIR_OPAQUE Worker* Worker::current() noexcept {
    return current_worker;
}

void Worker::start() {
    thread_ = std::thread([this] {
        char name[16];
        std::snprintf(name, sizeof name, "coir-%zu", index_);
        pthread_setname_np(pthread_self(), name);
        const PinnedThread pinned(processor());
        move_in();
        core_.await_all_workers();
        if (!abandoned_.load(std::memory_order_acquire)) {
            work();
        }
        scheduler_->finish();
        // Boost's scheduler of this thread ends with it.
    });
}

void Worker::work_here() noexcept {
    const PinnedThread pinned(processor());
    work();
}

std::optional<std::size_t> Worker::processor() const noexcept {
    return core_.pins_workers() ? std::optional(index_) : std::nullopt;
}

void Worker::move_in() {
    announce_thread(equip(*boost::fibers::context::active(), main_control_).switch_state);
    boost::fibers::use_scheduling_algorithm<Installed>(*this);
}

void Worker::work() noexcept {
    current_worker = this;
    const OverflowWatch overflow_watch(core_.reports_stack_overflow() ? this : nullptr);
    boost::fibers::context& main = scheduler_->main_context();
    do {
        main.suspend();  // always, because request_stop() resumes it
    } while (!stop_requested_.load(std::memory_order_acquire));
    while (!released_.load(std::memory_order_acquire)) {
        std::this_thread::yield();
    }
    while (carriers_.end_all()) {
        main.yield();
    }
}

// Boost's scheduler stays, and ends with the thread. It must know of nothing that ends with the worker.
void Worker::leave_thread() noexcept {
    boost::fibers::context& main = scheduler_->main_context();
    scheduler_->let_dispatcher_run();
    main.yield();  // to it: it frees what has ended
    boost::fibers::context& dispatcher = scheduler_->release_dispatcher();
    boost::fibers::use_scheduling_algorithm<boost::fibers::algo::round_robin>();
    scheduler_->boost_scheduler().schedule(&dispatcher);
    dispatcher.set_properties(nullptr);
    main.set_properties(nullptr);
    current_worker = nullptr;
}

void Worker::equip_dispatcher(boost::fibers::context& dispatcher) noexcept {
    SwitchState& state = equip(dispatcher, dispatcher_control_).switch_state;
    announce_fiber(state, "coir dispatcher");
    // Boost allocates this stack and puts the context at its top.
    using Traits = boost::fibers::default_stack::traits_type;
    const std::uintptr_t page = Traits::page_size();
    const auto top =
        (reinterpret_cast<std::uintptr_t>(&dispatcher) + sizeof(boost::fibers::context) + page) /
        page * page;
    state.stack_bytes = Traits::default_size() - page;
    state.stack_bottom = reinterpret_cast<const void*>(top - state.stack_bytes);
}

void Worker::request_stop() noexcept {
    stop_requested_.store(true, std::memory_order_release);
    inject(scheduler_->main_context());
    released_.store(true, std::memory_order_release);
}

void Worker::inject(boost::fibers::context& context) noexcept {
    const WakerGuard guard(core_);
    happens_before(&context);
    scheduler_->boost_scheduler().schedule_from_remote(&context);
}

void Worker::make_ready(FiberControl& fiber, Worker* here) noexcept {
    boost::fibers::context& context = *fiber.context();
    fiber.waits_for.store(nullptr, std::memory_order_relaxed);
    if (here != nullptr && &here->core_ == fiber.core) {
        count(here->wakes);
    } else {
        fiber.core->count_foreign_wake();
    }
    boost::fibers::scheduler* const last = context.get_scheduler();
    if (here != nullptr && last == &here->scheduler_->boost_scheduler()) {
        here->scheduler_->push(context);
    } else if (fiber.pinned) {
        const WakerGuard guard(*fiber.core);
        happens_before(&context);
        last->schedule_from_remote(&context);
    } else {
        fiber.await_parked();
        if (here != nullptr && &here->core_ == fiber.core) {
            here->scheduler_->push(context);
        } else {
            fiber.core->inject(context);
        }
    }
}

}  // namespace coir::detail
