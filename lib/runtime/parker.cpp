#include "coir/runtime/parker.hpp"

#include <new>

#include "coir/base/assert.hpp"
#include "coir/base/opaque.hpp"
#include "runtime/deadline_wheel.hpp"
#include "runtime/park.hpp"
#include "runtime/task.hpp"
#include "runtime/worker.hpp"

namespace coir {

using detail::IoDeadline;
using detail::WakeReason;

namespace {

IoDeadline& timer(std::byte* place) noexcept {
    return *std::launder(reinterpret_cast<IoDeadline*>(place));
}

}  // namespace

Parker::Parker() noexcept {
    static_assert(sizeof(IoDeadline) <= sizeof deadline_ && alignof(IoDeadline) <= 8);
    ::new (static_cast<void*>(deadline_)) IoDeadline;
}

Parker::~Parker() {
    COIR_ASSERT(!detail::holds_waiter(slot_));  // somebody waits here, and would for good
    timer(deadline_).reset();
    timer(deadline_).~IoDeadline();
}

Result<void> Parker::park_for(const char* what, Deadline deadline, StopRequests stops) noexcept {
    WakeReason reason;
    if (detail::Worker* const worker = detail::Worker::current()) {
        deadline = worker->running_fiber().task.earlier(deadline, stops);
        IoDeadline& timer = coir::timer(deadline_);
        timer.set(deadline.time_point());
        reason = detail::park(*worker, slot_, {what, stops}, [&] {
            timer.ensure_armed(slot_, worker->deadlines(), worker->poller().runtime());
        });
    } else {
        // The node of a fiber's wait may still be in a wheel: it is not to end this one.
        timer(deadline_).set(Deadline::never().time_point());
        reason = detail::park_thread(slot_, detail::thread_task().earlier(deadline, stops));
    }
    switch (reason) {
        case WakeReason::ready: return {};
        case WakeReason::timed_out: return std::errc::timed_out;
        case WakeReason::canceled: break;
    }
    return std::errc::operation_canceled;
}

void Parker::unpark() noexcept {
    if (detail::Waiter* const waiter =
            detail::claim(slot_, detail::kSlotEmpty, detail::kSlotReady)) {
        detail::wake(*waiter, WakeReason::ready);
    }
}

COIR_OPAQUE const void* detail::this_execution() noexcept {
    static thread_local char thread;
    Worker* const worker = Worker::current();
    return worker != nullptr ? static_cast<const void*>(&worker->running_fiber()) : &thread;
}

}  // namespace coir
