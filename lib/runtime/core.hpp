#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "runtime/blocking_pool.hpp"
#include "runtime/idle_workers.hpp"
#include "runtime/injection_queue.hpp"
#include "runtime/stack_overflow.hpp"
#include "runtime/stack_pool.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {

/// Whose thread the first worker has.
enum class FirstWorker { own_thread, caller };

/// What a Runtime hides: its workers and what they share.
class RuntimeCore final {
public:
    explicit RuntimeCore(const RuntimeOptions& options, StackGuards guards = StackGuards::lightest,
                         FirstWorker first_worker = FirstWorker::own_thread);
    ~RuntimeCore();
    RuntimeCore(const RuntimeCore&) = delete;
    RuntimeCore& operator=(const RuntimeCore&) = delete;

    /// With FirstWorker::caller: is that worker until everything has ended, after end_with_last_fiber().
    void work() noexcept;
    /// With FirstWorker::caller, called by a fiber: no more spawns from outside, and work() returns after the last end.
    void end_with_last_fiber() noexcept;
    void stop();
    [[nodiscard]] std::vector<FiberInfo> stop(Deadline deadline, std::chrono::nanoseconds grace);
    void request_stop() noexcept;
    [[nodiscard]] std::vector<FiberInfo> fibers();
    [[nodiscard]] RuntimeStats stats() noexcept;

    /// Called by each worker when others can use it; returns when that is true of all of them.
    void await_all_workers() noexcept;

    /// Any thread that is no worker starts fibers through here. False after stop(); then discard_spawn() is the caller's last
    /// word to the runtime, which may end.
    [[nodiscard]] bool count_foreign_spawn() noexcept;
    /// A fiber that was counted will never run.
    void discard_spawn() noexcept;
    void fiber_finished(Worker& worker) noexcept;

    /// A stack for a fiber; `worker` is null on a thread that is no worker of this runtime.
    [[nodiscard]] StackRegion take_stack(Worker* worker, std::size_t bytes, std::error_code& error);
    void give_back_stack(StackRegion region) noexcept;
    /// What take_stack() makes of `bytes`.
    [[nodiscard]] std::size_t usable_stack_bytes(std::size_t bytes) const noexcept;

    /// Unique in the process; from 1 on.
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    [[nodiscard]] Worker& worker(std::size_t index) noexcept { return *workers_[index]; }
    [[nodiscard]] std::size_t worker_count() const noexcept { return workers_.size(); }
    /// Takes a ready fiber that has left its stack, from a thread that is no worker of this runtime,
    /// and sees to it that somebody runs it.
    void inject(boost::fibers::context& context) noexcept;
    void inject(SessionControl& session) noexcept;
    [[nodiscard]] InjectionQueue& injected() noexcept { return injected_; }
    [[nodiscard]] BlockingPool& blocking_pool() noexcept { return *blocking_pool_; }
    [[nodiscard]] IdleWorkers& idle() noexcept { return idle_; }
    [[nodiscard]] bool reports_stack_overflow() const noexcept {
        return overflow_reports_.has_value();
    }
    /// Whether every resumption happens on another worker than the one before, as far as one is free.
    [[nodiscard]] bool forces_migration() const noexcept { return options_.force_migration; }
    /// Whether what is spawned from now on is to stop: stop() has asked all that were there.
    [[nodiscard]] bool asks_all_to_stop() const noexcept {
        return asks_all_.load(std::memory_order_seq_cst);
    }
    [[nodiscard]] FirstWorker first_worker() const noexcept { return first_worker_; }
    /// Whether workers take work from each other.
    [[nodiscard]] bool steals() const noexcept { return options_.steal && workers_.size() != 1; }
    [[nodiscard]] bool pins_workers() const noexcept { return options_.pin_workers; }
    /// What `ticks` of run_clock are, as far as the runtime has been able to tell.
    [[nodiscard]] std::chrono::nanoseconds to_time(std::uint64_t ticks) const noexcept;
    void count_foreign_wake() noexcept { foreign_wakes_.fetch_add(1, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t next_fiber_id() noexcept {
        return last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
    }

private:
    friend class WakerGuard;

    template <typename Ready>
    void inject_ready(Ready& ready) noexcept;
    void close() noexcept;
    void await_wakers() const noexcept;
    [[nodiscard]] bool await_fibers(Deadline deadline) noexcept;
    void end_workers(Deadline deadline) noexcept;
    template <typename F>
    void for_each_fiber(F look);
    void tell_stop() noexcept;
    [[nodiscard]] bool all_finished() const noexcept;
    [[nodiscard]] StackSlabs& slabs_of(std::size_t bytes);

    const RuntimeOptions options_;
    const std::uint64_t number_;
    const StackGuards guards_;
    const FirstWorker first_worker_;
    std::optional<OverflowReports> overflow_reports_;
    StackSlabs slabs_;
    std::mutex odd_slabs_mutex_;
    std::map<std::size_t, std::unique_ptr<StackSlabs>>
        odd_slabs_;  // fibers with a size of their own
    IdleWorkers idle_;
    std::vector<std::unique_ptr<Worker>> workers_;  // complete before the first thread starts
    std::latch started_;
    const std::shared_ptr<BlockingPool> blocking_pool_;
    InjectionQueue injected_;
    std::atomic<std::uint64_t> last_id_{0};
    std::atomic<std::uint64_t> foreign_spawns_{0};
    std::atomic<std::uint64_t> foreign_wakes_{0};
    std::atomic<std::uint64_t> discarded_{0};
    std::atomic<bool> closed_{false};    // no more spawns from outside
    std::atomic<bool> stopping_{false};  // finishing fibers tell stop()
    std::atomic<bool> asks_all_{false};  // for good: new fibers begin with stop_requested()
    std::mutex finish_mutex_;
    std::condition_variable finish_changed_;  // a fiber has ended while stopping_
    // Calls that make a fiber ready from outside its worker. The fiber can end, and the last one with
    // it, before such a call is done with the workers.
    std::atomic<std::uint32_t> wakers_{0};
    std::atomic<bool> first_is_ending_{false};  // with FirstWorker::caller: work() is to return
    bool stopped_ = false;
    // Two clocks at the same moment.
    const std::chrono::steady_clock::time_point start_time_;
    const std::uint64_t start_ticks_;
};

/// Keeps stop() from ending the workers while a fiber is being made ready from another thread.
/// Requires: the fiber has not been made ready yet, so its runtime is alive.
class WakerGuard final {
public:
    explicit WakerGuard(RuntimeCore& core) noexcept : core_(core) {
        core_.wakers_.fetch_add(1, std::memory_order_seq_cst);
    }
    ~WakerGuard() { core_.wakers_.fetch_sub(1, std::memory_order_seq_cst); }
    WakerGuard(const WakerGuard&) = delete;
    WakerGuard& operator=(const WakerGuard&) = delete;

private:
    RuntimeCore& core_;
};

}  // namespace coir::detail
