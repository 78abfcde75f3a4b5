#include "runtime/blocking_pool.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

#include "coir/base/assert.hpp"

namespace coir::detail {
namespace {

constexpr const char* kWait = "a blocking call";

/// All signals blocked while it lives, but those that the thread itself causes: a handler that reports
/// crashes must still be reached.
class SignalsBlocked final {
public:
    SignalsBlocked() noexcept {
        sigset_t signals;
        sigfillset(&signals);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
            sigdelset(&signals, fault);
        }
        pthread_sigmask(SIG_SETMASK, &signals, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_;
};

}  // namespace

void BlockingJobs::push_back(BlockingJob& job) noexcept {
    job.previous_ = last_;
    job.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &job;
    last_ = &job;
    ++size_;
}

BlockingJob* BlockingJobs::pop_front() noexcept {
    BlockingJob* const job = first_;
    if (job != nullptr) {
        remove(*job);
    }
    return job;
}

void BlockingJobs::remove(BlockingJob& job) noexcept {
    (job.previous_ != nullptr ? job.previous_->next_ : first_) = job.next_;
    (job.next_ != nullptr ? job.next_->previous_ : last_) = job.previous_;
    --size_;
}

BlockingPool::BlockingPool(BlockingPoolOptions options) noexcept : options_(options) {}

BlockingPool::~BlockingPool() {
    stop(Deadline::never());
}

Result<void> BlockingPool::run(BlockingJob& job, Deadline deadline) noexcept {
    submit(job);
    if (const auto waited = job.parker_.park_for(kWait, deadline); !waited) {
        if (withdraw(job)) {
            return waited;
        }
        // It runs, and may refer to the caller's frame.
        (void)job.parker_.park_for(kWait, Deadline::never(), StopRequests::ignored);
    }
    return job.failure_;
}

Result<void> BlockingPool::run_abandonable(const std::shared_ptr<BlockingJob>& job,
                                           Deadline deadline) noexcept {
    job->self_ = job;
    submit(*job);
    if (const auto waited = job->parker_.park_for(kWait, deadline); !waited) {
        (void)withdraw(*job);  // or it goes on alone
        return waited;
    }
    return job->failure_;
}

void BlockingPool::submit(BlockingJob& job) noexcept {
    {
        const Lock lock(mutex_);
        COIR_ASSERT(!stopping_);
        if (job.self_ != nullptr) {
            if (abandonable_ == most_abandonable()) {
                job.state_ = State::held_back;
                held_back_.push_back(job);
                return;
            }
            ++abandonable_;
        }
        enqueue(job);
        // The threads that are on their way may have a job each already.
        if (queue_.size() <= idle_ + starting_ || alive_ >= options_.most_threads) {
            work_or_stop_.notify_one();
            return;
        }
        ++alive_;
        ++starting_;
    }
    start_thread();  // may take longer than others should have to wait for the lock
}

// Under the lock.
void BlockingPool::enqueue(BlockingJob& job) noexcept {
    job.state_ = State::queued;
    queue_.push_back(job);
}

void BlockingPool::start_thread() noexcept {
    pthread_t thread;
    int error;
    {
        const SignalsBlocked inherited;
        error = options_.create(&thread, nullptr, &work_for, this);
    }
    if (error == 0) {
        return;
    }
    const Lock lock(mutex_);
    --alive_;
    --starting_;
    if (alive_ == 0) {
        fail_all({error, std::system_category()});
    }
}

// No thread is left that could run the jobs, those of others among them. Under the lock.
void BlockingPool::fail_all(std::error_code error) noexcept {
    for (BlockingJobs* const jobs : {&queue_, &held_back_}) {
        while (BlockingJob* const job = jobs->pop_front()) {
            const auto keep = std::move(job->self_);
            if (keep != nullptr && job->state_ == State::queued) {
                --abandonable_;
            }
            job->failure_ = error;
            job->state_ = State::taken;
            job->parker_.unpark();
        }
    }
}

// False if a thread has taken it.
bool BlockingPool::withdraw(BlockingJob& job) noexcept {
    std::shared_ptr<BlockingJob> keep;  // freed after the lock
    const Lock lock(mutex_);
    switch (job.state_) {
        case State::fresh:
        case State::taken: return false;
        case State::held_back: held_back_.remove(job); break;
        case State::queued:
            queue_.remove(job);
            if (job.self_ != nullptr) {
                end_abandonable();
            }
            break;
    }
    job.state_ = State::fresh;
    keep = std::move(job.self_);
    return true;
}

// Lets the next one into the queue; a thread that would have come for the one that ended comes for it.
// Under the lock.
void BlockingPool::end_abandonable() noexcept {
    --abandonable_;
    if (BlockingJob* const next = held_back_.pop_front()) {
        ++abandonable_;
        enqueue(*next);
    }
}

void* BlockingPool::work_for(void* pool) noexcept {
    pthread_setname_np(pthread_self(), "coir-blocking");
    static_cast<BlockingPool*>(pool)->work();
    return nullptr;
}

void BlockingPool::work() noexcept {
    Lock lock(mutex_);
    --starting_;
    for (;;) {
        if (BlockingJob* const job = queue_.pop_front()) {
            job->state_ = State::taken;
            auto share = std::move(job->self_);
            lock.unlock();
            job->run();
            job->parker_.unpark();  // from here on a job in a frame is gone
            const bool was_abandonable = std::exchange(share, nullptr) != nullptr;
            lock.lock();
            if (was_abandonable) {
                end_abandonable();
            }
            continue;
        }
        if (stopping_) {
            break;
        }
        ++idle_;
        const bool called = work_or_stop_.wait_for(
            lock, options_.idle_time, [this] { return queue_.size() != 0 || stopping_; });
        --idle_;
        if (!called) {
            break;
        }
    }
    leave(std::move(lock));
}

void BlockingPool::leave(Lock lock) noexcept {
    const bool is_first = !std::exchange(has_left_, true);
    const pthread_t before = std::exchange(last_left_, pthread_self());
    std::shared_ptr<BlockingPool> alone;
    if (--alive_ == 0) {
        alone = std::move(alone_);
        if (alone != nullptr) {
            has_left_ = false;
            pthread_detach(pthread_self());  // nobody is there to join it
        }
        all_left_.notify_one();
    }
    lock.unlock();
    // Nothing of *this from here on, unless it is alone.
    if (!is_first) {
        pthread_join(before, nullptr);
    }
}

void BlockingPool::stop(Deadline deadline) noexcept {
    Lock lock(mutex_);
    COIR_CHECK(queue_.size() == 0 && held_back_.size() == 0);
    stopping_ = true;
    work_or_stop_.notify_all();
    const auto all_have_left = [this] { return alive_ == 0; };
    if (deadline.is_never()) {
        all_left_.wait(lock, all_have_left);
    } else if (!all_left_.wait_until(lock, deadline.time_point(), all_have_left)) {
        alone_ = shared_from_this();
        return;
    }
    const bool has_left = std::exchange(has_left_, false);
    lock.unlock();
    if (has_left) {
        pthread_join(last_left_, nullptr);  // which has joined all the others
    }
}

std::size_t BlockingPool::threads() const noexcept {
    const Lock lock(mutex_);
    return alive_;
}

std::size_t BlockingPool::queued() const noexcept {
    const Lock lock(mutex_);
    return queue_.size() + held_back_.size();
}

std::size_t BlockingPool::most_abandonable() const noexcept {
    return std::max<std::size_t>(options_.most_threads / 2, 1);
}

}  // namespace coir::detail
