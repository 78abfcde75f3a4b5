#include "coir/runtime/blocking.hpp"

#include "coir/base/assert.hpp"
#include "runtime/core.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {
namespace {

/// A call that should not be made any more is not handed in: a thread might be faster than the fiber,
/// which sees the request to stop only when it waits.
Result<void> may_begin(FiberControl& fiber, Deadline deadline) noexcept {
    constexpr auto kObeyed = StopRequests::obeyed;
    if (fiber.task.obeys(kObeyed) && fiber.stop.is_requested()) {
        return std::errc::operation_canceled;
    }
    deadline = fiber.task.earlier(deadline, kObeyed);
    if (!deadline.is_never() && deadline.has_passed(Deadline::Clock::now())) {
        return std::errc::timed_out;
    }
    return {};
}

}  // namespace

Result<void> run_blocking(BlockingJob& job, Deadline deadline) noexcept {
    Worker* const worker = Worker::current();
    COIR_CHECK(worker != nullptr);
    if (const auto may = may_begin(worker->running_fiber(), deadline); !may) {
        return may;
    }
    return worker->core().blocking_pool().run(job, deadline);
}

Result<void> run_abandonable(std::shared_ptr<BlockingJob> job, Deadline deadline) noexcept {
    Worker* const worker = Worker::current();
    if (worker == nullptr) {
        BlockingPool::run_here(*job);
        return {};
    }
    if (const auto may = may_begin(worker->running_fiber(), deadline); !may) {
        return may;
    }
    return worker->core().blocking_pool().run_abandonable(job, deadline);
}

}  // namespace coir::detail
