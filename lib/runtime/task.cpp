#include "runtime/task.hpp"

#include <utility>

#include "coir/base/opaque.hpp"
#include "runtime/context_node.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {

Task::~Task() {
    destroy_values(*this);
}

void Task::inherit(Task& parent, bool with_deadline) noexcept {
    context = share(parent.context);
    if (with_deadline) {
        deadline = parent.earlier(Deadline::never(), StopRequests::obeyed);
    }
}

Task& this_task() noexcept {
    Worker* const worker = Worker::current();
    return worker != nullptr ? worker->running_fiber().task : thread_task();
}

void destroy_values(Task& task) noexcept {
    do {
        destroy_locals(task);
        release(std::exchange(task.context, nullptr));
    } while (task.locals != nullptr);  // made by the destructors of the context's values
}

bool must_stop() noexcept {
    Worker* const worker = Worker::current();
    if (worker == nullptr) {
        return false;
    }
    const FiberControl& fiber = worker->running_fiber();
    return fiber.stop.is_requested() && fiber.task.obeys(StopRequests::obeyed);
}

COIR_OPAQUE Task& thread_task() noexcept {
    static thread_local Task task;
    return task;
}

}  // namespace coir::detail
