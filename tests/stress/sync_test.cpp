#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/barrier.hpp"
#include "coir/sync/condition_variable.hpp"
#include "coir/sync/event.hpp"
#include "coir/sync/latch.hpp"
#include "coir/sync/mutex.hpp"
#include "coir/sync/select.hpp"
#include "coir/sync/semaphore.hpp"
#include "coir/sync/shared_mutex.hpp"
#include "stress/crowd.hpp"
#include "support/patience.hpp"

// Waits that are ended by their event, their deadline and a request to stop at the same time.
namespace coir {
namespace {

using namespace std::chrono_literals;
using test::Crowd;
using test::SmallRandom;
using test::soon;

constexpr int kRounds = 2000;

/// Often around the time that the others need.
Deadline brief(SmallRandom& random) {
    return Deadline::after(random.below(200) * 1us);
}

void linger(SmallRandom& random) {
    if (random.below(8) == 0) {
        this_fiber::yield();
    }
}

TEST(SemaphoreStress, LosesNoPermitToDeadlinesStopsAndSelects) {
    constexpr std::size_t kPermits = 5;
    Semaphore semaphore(kPermits);
    std::atomic<std::size_t> taken{0};
    std::atomic<bool> violated{false};
    std::atomic<int> served{0};
    Crowd(test::make_seed()).run([&](int, SmallRandom& random) {
        for (int round = 0; round != kRounds; ++round) {
            const auto count = static_cast<std::size_t>(1 + random.below(3));
            bool has = false;
            switch (random.below(4)) {
                case 0: has = semaphore.try_acquire(count); break;
                case 1:
                    has = select_until(brief(random), on_acquire(semaphore, count)).has_value();
                    break;
                default: has = semaphore.acquire_until(count, brief(random)).has_value();
            }
            if (has) {
                ++served;
                if (taken.fetch_add(count) + count > kPermits) {
                    violated = true;
                }
                linger(random);
                taken -= count;
                semaphore.release(count);
            }
        }
    });
    EXPECT_FALSE(violated);
    EXPECT_GT(served, Crowd::kAll);
    EXPECT_TRUE(semaphore.try_acquire(kPermits)) << "a permit was lost";
    EXPECT_FALSE(semaphore.try_acquire()) << "a permit was made";
}

TEST(SharedMutexStress, KeepsWritersAloneUnderDeadlinesAndStops) {
    SharedMutex mutex;
    long written = 0;  // under the mutex: two at a time lose something, and TSan sees it
    std::atomic<long> writes{0};
    std::atomic<long> reads{0};
    Crowd(test::make_seed()).run([&](int, SmallRandom& random) {
        long seen = 0;
        for (int round = 0; round != kRounds; ++round) {
            const bool patient = random.below(3) == 0;
            if (random.below(4) == 0) {
                if (patient) {
                    mutex.lock();
                } else if (!mutex.lock_until(brief(random))) {
                    continue;
                }
                ++written;
                linger(random);
                ++writes;
                mutex.unlock();
            } else {
                if (patient) {
                    mutex.lock_shared();
                } else if (!mutex.lock_shared_until(brief(random))) {
                    continue;
                }
                const long now = written;
                linger(random);
                EXPECT_EQ(written, now);
                EXPECT_GE(now, seen);
                seen = now;
                ++reads;
                mutex.unlock_shared();
            }
        }
    });
    EXPECT_EQ(written, writes);
    EXPECT_GT(writes, 0);
    EXPECT_GT(reads, 0);
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
}

TEST(MutexStress, IsWholeUnderDeadlinesAndStops) {
    Mutex mutex;
    long count = 0;
    std::atomic<long> entered{0};
    Crowd(test::make_seed()).run([&](int, SmallRandom& random) {
        for (int round = 0; round != kRounds; ++round) {
            if (random.below(3) == 0) {
                mutex.lock();
            } else if (!mutex.lock_until(brief(random))) {
                continue;
            }
            ++count;
            linger(random);
            ++entered;
            mutex.unlock();
        }
    });
    EXPECT_EQ(count, entered);
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
}

TEST(ConditionVariableStress, LosesNoNotificationToDeadlinesAndStops) {
    // As many tokens are made as are taken, and each is notified once: a lost notification leaves somebody
    // waiting for a token that is there.
    Mutex mutex;
    ConditionVariable changed;
    int tokens = 0;
    static_assert(Crowd::kAll % 2 == 0);
    Crowd(test::make_seed()).run([&](int who, SmallRandom& random) {
        for (int round = 0; round != kRounds; ++round) {
            std::unique_lock lock(mutex);
            if (who % 2 == 0) {
                ++tokens;
                changed.notify_one();
                lock.unlock();
                linger(random);
                continue;
            }
            const auto is_there = [&] { return tokens > 0; };
            if (random.below(2) == 0 || !changed.wait_until(lock, brief(random), is_there)) {
                const this_fiber::Shield shield;
                ASSERT_TRUE(changed.wait_until(lock, soon(), is_there));
            }
            --tokens;
        }
    });
    EXPECT_EQ(tokens, 0);
}

TEST(EventStress, EverySetIsSeenByAllWhoWaitForIt) {
    constexpr std::size_t kEvents = 1000;
    std::vector<Event> events(kEvents);
    std::vector<std::atomic<int>> seen(kEvents);
    Crowd(test::make_seed()).run([&](int who, SmallRandom& random) {
        for (std::size_t i = 0; i != kEvents; ++i) {
            if (static_cast<int>(i) % Crowd::kAll == who) {
                linger(random);
                events[i].set();
            }
            // Who is asked to stop, or too late, goes on waiting in a way that cannot fail.
            const bool by_select = random.below(2) == 0;
            if (!(by_select ? select_until(brief(random), on_set(events[i])).has_value()
                            : events[i].wait_until(brief(random)).has_value())) {
                events[i].wait();
            }
            ++seen[i];
        }
    });
    EXPECT_TRUE(std::ranges::all_of(seen, [](const auto& count) { return count == Crowd::kAll; }));
}

TEST(BarrierStress, KeepsEverybodyInStepUnderDeadlinesAndStops) {
    constexpr int kPhases = 500;
    std::atomic<int> arrived{0};
    std::atomic<bool> violated{false};
    int phases = 0;
    Barrier barrier(Crowd::kAll,
                    [&]() noexcept { violated = violated || arrived != ++phases * Crowd::kAll; });
    Crowd(test::make_seed()).run([&](int, SmallRandom& random) {
        for (int phase = 0; phase != kPhases; ++phase) {
            linger(random);
            ++arrived;
            auto token = barrier.arrive();
            if (!barrier.wait_until(token, brief(random))) {
                barrier.wait(std::move(token));
            }
        }
    });
    EXPECT_FALSE(violated);
    EXPECT_EQ(phases, kPhases);
}

TEST(LatchStress, MayBeDestroyedByWhoSawItOpen) {
    constexpr int kTurns = 2000;
    std::vector<std::atomic<Latch*>> latches(kTurns);
    Crowd(test::make_seed()).run([&](int who, SmallRandom& random) {
        if (who >= 2) {
            return;
        }
        for (auto& place : latches) {
            if (who == 0) {
                auto latch = std::make_unique<Latch>(1);
                place = latch.get();
                const this_fiber::Shield shield;
                if (random.below(2) == 0) {
                    latch->wait();
                } else {
                    EXPECT_TRUE(latch->wait_until(soon()));
                }
            } else {
                while (place == nullptr) {
                    this_fiber::yield();
                }
                for (int i = random.below(1000); i != 0; --i) {
                    asm volatile("");
                }
                place.load()->count_down();
            }
        }
    });
}

}  // namespace
}  // namespace coir
