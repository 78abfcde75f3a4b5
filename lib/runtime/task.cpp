#include "runtime/task.hpp"

#include "coir/base/opaque.hpp"
#include "runtime/context_node.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {

Task::~Task() {
    destroy_locals(*this);
    release(context);
}

void Task::inherit(const Task& parent, bool with_deadline) noexcept {
    context = share(parent.context);
    if (with_deadline && parent.shields == 0) {
        deadline = parent.deadline;
    }
}

Task& this_task() noexcept {
    Worker* const worker = Worker::current();
    return worker != nullptr ? worker->running_fiber().task : thread_task();
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
