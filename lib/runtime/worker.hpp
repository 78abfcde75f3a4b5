#pragma once

#include <atomic>
#include <boost/fiber/context.hpp>
#include <boost/intrusive_ptr.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "runtime/carriers.hpp"
#include "runtime/deadline_wheel.hpp"
#include "runtime/fiber_control.hpp"
#include "runtime/idle_workers.hpp"
#include "runtime/poller.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/session_list.hpp"
#include "runtime/session_memory.hpp"
#include "runtime/stack_pool.hpp"
#include "runtime/waiter.hpp"

namespace coir::detail {

class RuntimeCore;

/// One thread: its scheduler, poller, timers and stacks.
class Worker final {
public:
    Worker(RuntimeCore& core, std::size_t index, StackSlabs& slabs, std::size_t warm_stacks);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void start();
    /// Instead of start(): makes the calling thread the worker's. Requires: no fiber runs on it, Boost's included.
    void move_in();
    /// Works on the calling thread until request_stop(). Requires: move_in().
    void work_here() noexcept;
    /// Undoes move_in(). Requires: nobody wakes fibers any more.
    void leave_thread() noexcept;
    /// Lets the thread end as soon as all workers have been awaited. Instead of request_stop().
    void abandon() noexcept { abandoned_.store(true, std::memory_order_release); }
    /// Lets the thread end. Requires: no fiber of the runtime is alive. Threads: any.
    void request_stop() noexcept;
    /// Does nothing if it has no thread of its own.
    void join() noexcept {
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    /// The worker of this thread, or null. Opaque; see coir/base/opaque.hpp.
    [[nodiscard]] static Worker* current() noexcept;

    /// Makes a fiber ready that is out of its slot: here, if this thread is a worker of its runtime.
    /// Threads: any.
    static void make_ready(FiberControl& fiber) noexcept { make_ready(fiber, current()); }
    /// The same for who knows current().
    static void make_ready(FiberControl& fiber, Worker* here) noexcept;
    /// Hands this worker a fiber; it cannot be stolen before it has arrived. Threads: any.
    void inject(boost::fibers::context& context) noexcept;

    [[nodiscard]] const std::shared_ptr<DeadlineWheel>& deadlines() const noexcept {
        return deadlines_;
    }
    [[nodiscard]] RuntimeCore& core() noexcept { return core_; }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    [[nodiscard]] Poller& poller() noexcept { return poller_; }
    [[nodiscard]] const Poller& poller() const noexcept { return poller_; }
    [[nodiscard]] ReadyList& ready_list() noexcept { return ready_list_; }
    [[nodiscard]] StackCache& stacks() noexcept { return stacks_; }
    [[nodiscard]] Carriers& carriers() noexcept { return carriers_; }
    /// Those that were started here.
    [[nodiscard]] SessionList& sessions() noexcept { return sessions_; }
    [[nodiscard]] SessionMemory& session_memory() noexcept { return session_memory_; }
    [[nodiscard]] Scheduler& scheduler() noexcept { return *scheduler_; }
    [[nodiscard]] FiberControl& running_fiber() const noexcept { return scheduler_->running(); }

    /// Unique in the runtime. Threads: its worker.
    [[nodiscard]] std::uint64_t next_fiber_id() noexcept {
        return (index_ + 1) << 48 | ++last_fiber_id_;
    }

    /// Says in reports that the fiber waits, and for what.
    void begin_wait(FiberControl& fiber, const Wait& wait) noexcept {
        fiber.last_worker.store(static_cast<int>(index_), std::memory_order_relaxed);
        fiber.waits_on_fd.store(wait.fd, std::memory_order_relaxed);
        fiber.waits_for.store(wait.what, std::memory_order_relaxed);
        count(waits);
    }
    /// It does not wait after all.
    void abandon_wait(FiberControl& fiber) noexcept {
        fiber.waits_for.store(nullptr, std::memory_order_relaxed);
        count(wakes);
    }

    // Counters with one writer, this worker.
    std::atomic<std::uint64_t> waits{0};
    std::atomic<std::uint64_t> wakes{0};
    std::atomic<std::uint64_t> spawned{0};
    std::atomic<std::uint64_t> finished{0};
    std::atomic<std::uint64_t> migrations{0};

    static void count(std::atomic<std::uint64_t>& counter) noexcept {
        counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

private:
    /// Boost makes the algorithm; this tells the worker about it.
    struct Installed final : Scheduler {
        explicit Installed(Worker& worker) : Scheduler(worker) { worker.scheduler_ = this; }
    };
    friend class Scheduler;

    void equip_dispatcher(boost::fibers::context& dispatcher) noexcept;
    void work() noexcept;
    [[nodiscard]] std::optional<std::size_t> processor() const noexcept;

    RuntimeCore& core_;
    const std::size_t index_;
    Poller poller_;
    ReadyList ready_list_;
    StackCache stacks_;
    Carriers carriers_{*this};
    SessionMemory session_memory_;
    SessionList sessions_;
    const std::shared_ptr<DeadlineWheel> deadlines_;
    // Shared with Boost's scheduler of the thread, which ends before other workers have stopped
    // looking here. Set before all workers have been awaited.
    boost::intrusive_ptr<Scheduler> scheduler_;
    alignas(FiberControl) std::byte main_control_[sizeof(FiberControl)];
    alignas(FiberControl) std::byte dispatcher_control_[sizeof(FiberControl)];
    std::uint64_t last_fiber_id_ = 0;
    std::atomic<bool> abandoned_{false};
    std::atomic<bool> stop_requested_{false};
    // Whether request_stop() has left Boost's scheduler, which ends with the thread.
    std::atomic<bool> released_{false};
    std::thread thread_;
};

}  // namespace coir::detail
