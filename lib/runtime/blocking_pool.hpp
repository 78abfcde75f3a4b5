#pragma once

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <system_error>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/blocking.hpp"

namespace coir::detail {

/// Jobs in their order, chained through themselves.
class BlockingJobs final {
public:
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    void push_back(BlockingJob& job) noexcept;
    /// The oldest, or null.
    [[nodiscard]] BlockingJob* pop_front() noexcept;
    /// Requires: it is in this list.
    void remove(BlockingJob& job) noexcept;

private:
    BlockingJob* first_ = nullptr;
    BlockingJob* last_ = nullptr;
    std::size_t size_ = 0;
};

struct BlockingPoolOptions {
    /// At least 1.
    std::size_t most_threads = 1;
    /// A thread without work ends after this.
    std::chrono::milliseconds idle_time = std::chrono::seconds(10);
    /// As pthread_create(), which it is outside of tests.
    int (*create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) = &::pthread_create;
};

/// Plain threads that run what would block a worker, as many as are needed up to a limit.
///
/// Jobs wait in one queue, first in, first out, in the frames of their fibers: a fiber waits for one at a
/// time, so the queue needs no limit of its own. Jobs that their fibers may leave behind are let into it
/// only so far: half of the threads can run them, or a name server that does not answer would soon hold
/// all threads.
///
/// Threads: any; but stop() once, when nobody waits.
class BlockingPool final : public std::enable_shared_from_this<BlockingPool> {
public:
    explicit BlockingPool(BlockingPoolOptions options) noexcept;
    ~BlockingPool();
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    /// See run_blocking().
    [[nodiscard]] Result<void> run(BlockingJob& job, Deadline deadline) noexcept;
    /// See run_abandonable().
    [[nodiscard]] Result<void> run_abandonable(const std::shared_ptr<BlockingJob>& job,
                                               Deadline deadline) noexcept;

    /// Runs the job on the calling thread.
    static void run_here(BlockingJob& job) noexcept { job.run(); }

    /// Waits for what runs, jobs that were left behind among it, and ends all threads. Those that are
    /// not done at `deadline` go on alone: they keep the pool alive, and nobody joins them.
    /// Requires: no fiber waits for a job. A shared_ptr owns the pool, or `deadline` is never.
    void stop(Deadline deadline) noexcept;

    [[nodiscard]] std::size_t threads() const noexcept;
    /// Jobs that no thread has begun.
    [[nodiscard]] std::size_t queued() const noexcept;
    [[nodiscard]] std::size_t most_abandonable() const noexcept;

private:
    using Lock = std::unique_lock<std::mutex>;
    using State = BlockingJob::State;

    static void* work_for(void* pool) noexcept;
    void work() noexcept;
    void leave(Lock lock) noexcept;

    void submit(BlockingJob& job) noexcept;
    void enqueue(BlockingJob& job) noexcept;
    void start_thread() noexcept;
    void fail_all(std::error_code error) noexcept;
    [[nodiscard]] bool withdraw(BlockingJob& job) noexcept;
    void end_abandonable() noexcept;

    const BlockingPoolOptions options_;
    mutable std::mutex mutex_;  // never held over a suspension
    std::condition_variable work_or_stop_;
    std::condition_variable all_left_;
    BlockingJobs queue_;
    BlockingJobs held_back_;       // to be let into the queue
    std::size_t abandonable_ = 0;  // that are in the queue or run
    std::size_t alive_ = 0;        // threads, those being started among them
    std::size_t starting_ = 0;     // of these, those that have not come to the queue yet
    std::size_t idle_ = 0;         // of these, those that wait at the queue
    bool stopping_ = false;
    // The thread that left last. Each joins the one that left before it.
    pthread_t last_left_{};
    bool has_left_ = false;
    std::shared_ptr<BlockingPool> alone_;  // itself, for the last thread to let go of
};

}  // namespace coir::detail
