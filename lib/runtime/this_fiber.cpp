#include "coir/runtime/this_fiber.hpp"

#include <thread>

#include "runtime/core.hpp"
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

void this_fiber::sleep_until(Deadline deadline) noexcept {
    if (detail::Worker* const worker = detail::Worker::current()) {
        // Boost's sleep queue, not the wheel: a sleep is as exact as the kernel's timers.
        (void)worker->running_fiber().context()->wait_until(deadline.time_point());
    } else {
        std::this_thread::sleep_until(deadline.time_point());
    }
}

std::uint64_t this_fiber::id() noexcept {
    detail::Worker* const worker = detail::Worker::current();
    return worker == nullptr ? 0 : worker->running_fiber().id;
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
