#include "runtime/blocking_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/gate.hpp"
#include "support/patience.hpp"

// A plain thread can wait for the pool as well as a fiber does, so these need no runtime.

namespace coir::detail {
namespace {

using namespace std::chrono_literals;
using test::Gate;
using test::holds_before;
using test::soon;

class Job final : public BlockingJob {
public:
    explicit Job(std::function<void()> body) : body_(std::move(body)) {}

private:
    void run() noexcept override { body_(); }

    std::function<void()> body_;
};

int refuse(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) {
    return EAGAIN;
}

std::atomic<int> allowed_starts{0};

int create_if_allowed(pthread_t* thread, const pthread_attr_t* attributes, void* (*entry)(void*),
                      void* argument) {
    return --allowed_starts >= 0 ? pthread_create(thread, attributes, entry, argument) : EAGAIN;
}

Gate* refusal = nullptr;

int refuse_late(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) {
    EXPECT_TRUE(refusal->wait());
    return EAGAIN;
}

TEST(BlockingPool, AThreadWithoutWorkEnds) {
    BlockingPool pool({.most_threads = 2, .idle_time = 10ms});
    for (int round = 0; round != 3; ++round) {
        Job job([] {});
        EXPECT_TRUE(pool.run(job, soon()));
        EXPECT_TRUE(holds_before(soon(), [&] { return pool.threads() == 0; }));
    }
}

TEST(BlockingPool, SaysSoIfNoThreadCanBeStarted) {
    BlockingPool pool({.most_threads = 2, .create = &refuse});
    bool was_called = false;
    Job job([&] { was_called = true; });
    EXPECT_EQ(pool.run(job, soon()).error(), std::errc::resource_unavailable_try_again);
    EXPECT_FALSE(was_called);
    EXPECT_EQ(pool.threads(), 0U);
    EXPECT_EQ(pool.queued(), 0U);
}

TEST(BlockingPool, GoesOnWithTheThreadsItHasIfNoMoreCanBeStarted) {
    allowed_starts = 1;
    BlockingPool pool({.most_threads = 2, .create = &create_if_allowed});
    Gate begun;
    Gate gate;
    std::thread other([&] {
        Job job([&] {
            begun.open();
            EXPECT_TRUE(gate.wait());
        });
        EXPECT_TRUE(pool.run(job, soon()));
    });
    EXPECT_TRUE(begun.wait());
    std::thread opener([&] {
        EXPECT_TRUE(holds_before(soon(), [&] { return pool.queued() == 1; }));
        gate.open();
    });
    bool was_called = false;
    Job job([&] { was_called = true; });
    EXPECT_TRUE(pool.run(job, soon()));
    EXPECT_TRUE(was_called);
    EXPECT_LT(allowed_starts, 0) << "a second thread was never asked for";
    opener.join();
    other.join();
}

TEST(BlockingPool, AStartThatFailsFailsAlsoTheJobsThatReliedOnIt) {
    Gate gate;
    refusal = &gate;
    BlockingPool pool({.most_threads = 1, .create = &refuse_late});
    std::vector<std::thread> waiting;
    for (int i = 0; i != 4; ++i) {
        waiting.emplace_back([&] {
            Job job([] { FAIL() << "there is no thread that could run this"; });
            EXPECT_EQ(pool.run(job, soon()).error(), std::errc::resource_unavailable_try_again);
        });
    }
    EXPECT_TRUE(holds_before(soon(), [&] { return pool.queued() == 4; }));
    gate.open();
    for (auto& thread : waiting) {
        thread.join();
    }
}

/// A job that waits at a gate, and says when it has been freed.
std::shared_ptr<BlockingJob> make_stuck(Gate& gate, std::atomic<int>& alive) {
    ++alive;
    const auto guard = std::shared_ptr<void>(nullptr, [&alive](void*) { --alive; });
    return std::make_shared<Job>([&gate, guard] { EXPECT_TRUE(gate.wait()); });
}

/// Leaves one more behind that runs.
void leave_stuck(BlockingPool& pool, Gate& gate, std::atomic<int>& alive) {
    const int wanted = alive + 1;
    // On a slow machine the deadline can come before a thread does, and the job is withdrawn.
    while (alive != wanted) {
        const auto done = pool.run_abandonable(make_stuck(gate, alive), Deadline::after(5ms));
        ASSERT_EQ(done.error(), std::errc::timed_out);
    }
}

TEST(BlockingPool, AJobThatWasLeftBehindIsFreedWhenItEnds) {
    BlockingPool pool({.most_threads = 2});
    Gate gate;
    std::atomic<int> alive{0};
    leave_stuck(pool, gate, alive);
    EXPECT_EQ(alive, 1);
    gate.open();
    EXPECT_TRUE(holds_before(soon(), [&] { return alive == 0; }));
}

TEST(BlockingPool, StopWaitsForAJobThatWasLeftBehind) {
    Gate gate;
    std::atomic<int> alive{0};
    std::thread opener;
    {
        BlockingPool pool({.most_threads = 2});
        leave_stuck(pool, gate, alive);
        opener = std::thread([&] {
            std::this_thread::sleep_for(5ms);
            gate.open();
        });
    }
    EXPECT_EQ(alive, 0);
    opener.join();
}

TEST(BlockingPool, StopLeavesAJobAloneThatIsNotDoneAtItsDeadline) {
    Gate gate;
    std::atomic<int> alive{0};
    std::weak_ptr<BlockingPool> freed;
    {
        const auto pool = std::make_shared<BlockingPool>(BlockingPoolOptions{.most_threads = 4});
        freed = pool;
        leave_stuck(*pool, gate, alive);
        leave_stuck(*pool, gate, alive);
        pool->stop(Deadline::after(1ms));
    }
    EXPECT_EQ(alive, 2);
    EXPECT_FALSE(freed.expired()) << "the threads that run have no pool";
    gate.open();
    EXPECT_TRUE(holds_before(soon(), [&] { return alive == 0 && freed.expired(); }));
}

TEST(BlockingPool, StopWithADeadlineEndsThreadsThatAreDone) {
    Gate gate;
    std::atomic<int> alive{0};
    const auto pool = std::make_shared<BlockingPool>(BlockingPoolOptions{.most_threads = 4});
    leave_stuck(*pool, gate, alive);
    Job job([] {});
    EXPECT_TRUE(pool->run(job, soon()));
    gate.open();
    pool->stop(soon());
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(pool->threads(), 0U);
    EXPECT_EQ(pool.use_count(), 1);
}

TEST(BlockingPool, JobsThatWereLeftBehindLeaveThreadsForOthers) {
    BlockingPool pool({.most_threads = 4});
    Gate gate;
    std::atomic<int> alive{0};
    EXPECT_EQ(pool.most_abandonable(), 2U);
    leave_stuck(pool, gate, alive);
    leave_stuck(pool, gate, alive);
    for (int i = 0; i != 8; ++i) {
        EXPECT_EQ(pool.run_abandonable(make_stuck(gate, alive), Deadline::after(1ms)).error(),
                  std::errc::timed_out);
    }
    // These never began, and are gone.
    EXPECT_EQ(alive, 2);
    EXPECT_EQ(pool.queued(), 0U);
    for (int i = 0; i != 8; ++i) {
        Job job([] {});
        EXPECT_TRUE(pool.run(job, soon()));
    }
    // When they end, others are let in.
    std::thread opener([&] {
        EXPECT_TRUE(holds_before(soon(), [&] { return pool.queued() == 1; }));
        gate.open();
    });
    EXPECT_TRUE(pool.run_abandonable(make_stuck(gate, alive), soon()));
    opener.join();
    EXPECT_TRUE(holds_before(soon(), [&] { return alive == 0; }));
}

TEST(BlockingPool, JobsThatAreHeldBackFailWithTheOthersIfNoThreadCanBeStarted) {
    Gate gate;
    refusal = &gate;
    BlockingPool pool({.most_threads = 1, .create = &refuse_late});
    std::vector<std::thread> waiting;
    for (int i = 0; i != 3; ++i) {
        waiting.emplace_back([&] {
            const auto job = std::make_shared<Job>([] { FAIL() << "there is no thread for this"; });
            EXPECT_EQ(pool.run_abandonable(job, soon()).error(),
                      std::errc::resource_unavailable_try_again);
        });
    }
    EXPECT_TRUE(holds_before(soon(), [&] { return pool.queued() == 3; }));
    gate.open();
    for (auto& thread : waiting) {
        thread.join();
    }
}

TEST(BlockingPool, JobsAreLeftBehindWhileTheyEnd) {
    BlockingPool pool({.most_threads = 4, .idle_time = 1ms});
    std::atomic<int> alive{0};
    std::vector<std::thread> waiting;
    for (int i = 0; i != 4; ++i) {
        waiting.emplace_back([&, i] {
            for (int round = 0; round != 200; ++round) {
                ++alive;
                const auto guard = std::shared_ptr<void>(nullptr, [&alive](void*) { --alive; });
                const auto patience = std::chrono::microseconds((i * 31 + round * 7) % 200);
                const auto done = pool.run_abandonable(std::make_shared<Job>([guard] {}),
                                                       Deadline::after(patience));
                ASSERT_TRUE(done || done.error() == std::errc::timed_out);
            }
        });
    }
    for (auto& thread : waiting) {
        thread.join();
    }
    pool.stop(Deadline::never());
    EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace coir::detail
