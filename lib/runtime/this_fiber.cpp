#include "coir/runtime/this_fiber.hpp"

#include <algorithm>
#include <thread>

#include "runtime/core.hpp"
#include "runtime/park.hpp"
#include "runtime/task.hpp"
#include "runtime/worker.hpp"

namespace coir {

void this_fiber::yield() noexcept {
    detail::Worker* const worker = detail::Worker::current();
    if (worker == nullptr) {
        std::this_thread::yield();
    } else if (!worker->scheduler().nothing_waits()) {
        worker->running_fiber().context()->yield();
    }
}

std::error_code this_fiber::sleep_until(Deadline deadline) noexcept {
    using detail::WakeReason;
    detail::Worker* const worker = detail::Worker::current();
    detail::Task& task = worker != nullptr ? worker->running_fiber().task : detail::thread_task();
    const Deadline end = task.earlier(deadline, StopRequests::obeyed);
    WakeReason reason = WakeReason::timed_out;
    if (worker == nullptr) {
        std::this_thread::sleep_until(end.time_point());
    } else {
        // In the exact order, not in the wheel: a sleep always ends by its time, and people look.
        std::atomic<std::uintptr_t> slot{detail::kSlotEmpty};
        detail::DeadlineWheel& timers = *worker->deadlines();
        detail::Sleep sleep(slot, end.time_point());
        reason = detail::park(*worker, slot, {.what = "the end of a sleep"}, [&] {
            if (!end.is_never()) {
                timers.add(sleep);
            }
        });
        if (reason == WakeReason::canceled) {
            timers.remove(sleep);
            return std::make_error_code(std::errc::operation_canceled);
        }
    }
    return end < deadline ? std::make_error_code(std::errc::timed_out) : std::error_code();
}

std::uint64_t this_fiber::id() noexcept {
    detail::Worker* const worker = detail::Worker::current();
    return worker == nullptr ? 0 : worker->running_fiber().id;
}

std::string_view this_fiber::name() noexcept {
    detail::Worker* const worker = detail::Worker::current();
    return worker == nullptr ? std::string_view() : worker->running_fiber().name();
}

bool this_fiber::stop_requested() noexcept {
    detail::Worker* const worker = detail::Worker::current();
    return worker != nullptr && worker->running_fiber().stop.is_requested();
}

std::stop_token this_fiber::stop_token() {
    detail::Worker* const worker = detail::Worker::current();
    return worker == nullptr ? std::stop_token() : worker->running_fiber().stop.token();
}

Deadline this_fiber::deadline() noexcept {
    return detail::this_task().earlier(Deadline::never(), StopRequests::obeyed);
}

this_fiber::DeadlineScope::DeadlineScope(Deadline deadline) noexcept
    : before_(detail::this_task().deadline) {
    detail::this_task().deadline = std::min(before_, deadline);
}

this_fiber::DeadlineScope::~DeadlineScope() {
    detail::this_task().deadline = before_;
}

this_fiber::Shield::Shield() noexcept : before_(detail::this_task().deadline) {
    detail::Task& task = detail::this_task();
    task.deadline = Deadline::never();
    ++task.shields;
}

this_fiber::Shield::~Shield() {
    detail::Task& task = detail::this_task();
    --task.shields;
    task.deadline = before_;
}

int this_worker::index() noexcept {
    detail::Worker* const worker = detail::Worker::current();
    return worker == nullptr ? -1 : static_cast<int>(worker->index());
}

int this_worker::count() noexcept {
    detail::Worker* const worker = detail::Worker::current();
    return worker == nullptr ? 0 : static_cast<int>(worker->core().worker_count());
}

}  // namespace coir
