#include "runtime/idle_workers.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

namespace coir::detail {
namespace {

class WorkerSetOf : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, WorkerSetOf, testing::Values(1, 2, 63, 64, 65, 128, 200));

TEST_P(WorkerSetOf, IsEmptyAtFirst) {
    WorkerSet set(GetParam());
    EXPECT_TRUE(set.empty());
    EXPECT_EQ(set.find_any(0), -1);
    EXPECT_EQ(set.take_any(GetParam() - 1), -1);
    EXPECT_FALSE(set.erase(GetParam() - 1));
}

TEST_P(WorkerSetOf, FindsEachMemberFromEveryStart) {
    const std::size_t workers = GetParam();
    WorkerSet set(workers);
    for (std::size_t member = 0; member != workers; ++member) {
        set.insert(member);
        for (std::size_t start = 0; start != workers; ++start) {
            ASSERT_EQ(set.find_any(start), static_cast<int>(member)) << "from " << start;
        }
        EXPECT_FALSE(set.empty());
        EXPECT_TRUE(set.erase(member));
        EXPECT_FALSE(set.erase(member));
        EXPECT_TRUE(set.empty());
    }
}

TEST_P(WorkerSetOf, FindsTheNextMemberAtOrAfterTheStartAndThenWrapsAround) {
    const std::size_t workers = GetParam();
    WorkerSet set(workers);
    std::set<std::size_t> members;
    for (std::size_t i = 0; i < workers; i += 7) {
        set.insert(i);
        members.insert(i);
    }
    for (std::size_t start = 0; start != workers; ++start) {
        const auto at_or_after = members.lower_bound(start);
        const std::size_t expected = at_or_after != members.end() ? *at_or_after : *members.begin();
        ASSERT_EQ(set.find_any(start), static_cast<int>(expected)) << "from " << start;
    }
}

TEST_P(WorkerSetOf, TakeAnyTakesEachMemberOnce) {
    const std::size_t workers = GetParam();
    WorkerSet set(workers);
    for (std::size_t i = 0; i != workers; ++i) {
        set.insert(i);
        set.insert(i);
    }
    std::set<int> taken;
    for (std::size_t i = 0; i != workers; ++i) {
        taken.insert(set.take_any(workers / 2));
    }
    EXPECT_EQ(taken.size(), workers);
    EXPECT_EQ(set.take_any(0), -1);
    EXPECT_TRUE(set.empty());
}

TEST(WorkerSet, EachMemberIsTakenByOneOfManyThreads) {
    constexpr std::size_t kWorkers = 100;
    WorkerSet set(kWorkers);
    std::atomic<int> taken{0};
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i != 3; ++i) {
        threads.emplace_back([&, i] {
            bool last_look = false;
            for (;;) {
                if (set.take_any(i * 30) >= 0) {
                    ++taken;
                } else if (last_look) {
                    return;
                } else {
                    last_look = done;
                }
            }
        });
    }
    int inserted = 0;
    for (int round = 0; round != 200; ++round) {
        for (std::size_t i = 0; i != kWorkers; ++i) {
            if (set.find_any(i) != static_cast<int>(i)) {
                set.insert(i);  // nobody else inserts
                ++inserted;
            }
        }
    }
    done = true;
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(taken, inserted);
}

TEST(IdleWorkers, SurplusWakesOneSleeperAndNoSecondWhileThatOneSearches) {
    IdleWorkers idle(4);
    EXPECT_FALSE(idle.someone_could_help());
    idle.enter_sleep(1);
    idle.enter_sleep(2);
    EXPECT_TRUE(idle.someone_could_help());
    const int woken = idle.offer_surplus(0);
    EXPECT_EQ(woken, 1);
    EXPECT_FALSE(idle.someone_could_help());
    EXPECT_EQ(idle.offer_surplus(3), -1);
    EXPECT_TRUE(idle.leave_sleep(1)) << "it has been claimed, and counts as searching";
    EXPECT_TRUE(idle.has_surplus());
    EXPECT_EQ(idle.find_surplus(1), 3);
    idle.withdraw_surplus(3);
    EXPECT_EQ(idle.find_surplus(1), 0);
    idle.withdraw_surplus(0);
    EXPECT_FALSE(idle.has_surplus());
    idle.end_search();
    EXPECT_TRUE(idle.someone_could_help());
    EXPECT_FALSE(idle.leave_sleep(2)) << "nobody has claimed it";
}

TEST(IdleWorkers, SurplusWithoutASleeperLeavesNobodySearching) {
    IdleWorkers idle(2);
    EXPECT_EQ(idle.offer_surplus(0), -1);
    EXPECT_EQ(idle.take_sleeper(), -1);
    idle.enter_sleep(1);
    EXPECT_TRUE(idle.someone_could_help());
}

TEST(IdleWorkers, AtMostTwoSearchAtATime) {
    IdleWorkers idle(4);
    EXPECT_TRUE(idle.begin_search());
    EXPECT_TRUE(idle.begin_search());
    EXPECT_FALSE(idle.begin_search());
    idle.end_search();
    EXPECT_TRUE(idle.begin_search());
}

TEST(IdleWorkers, AFewWatchAtATime) {
    IdleWorkers idle(70);
    idle.enter_sleep(69);
    for (int i = 0; i != IdleWorkers::kMaxWatchers; ++i) {
        EXPECT_TRUE(idle.become_watcher());
    }
    EXPECT_FALSE(idle.become_watcher());
    EXPECT_EQ(idle.replace_watchers(0), -1);
    for (int i = 0; i != IdleWorkers::kMaxWatchers; ++i) {
        idle.resign_watcher();
    }
    EXPECT_EQ(idle.replace_watchers(0), 69);
}

TEST(IdleWorkers, NobodyIsCountedAsSearchingAfterAStormOfOffersAndSleeps) {
    constexpr std::size_t kWorkers = 3;
    IdleWorkers idle(kWorkers);
    std::vector<std::thread> threads;
    for (std::size_t self = 0; self != kWorkers; ++self) {
        threads.emplace_back([&, self] {
            for (int round = 0; round != 20'000; ++round) {
                (void)idle.offer_surplus(self);
                if (idle.begin_search()) {
                    const int victim = idle.find_surplus(self);
                    if (victim >= 0) {
                        idle.withdraw_surplus(static_cast<std::size_t>(victim));
                    }
                    idle.end_search();
                }
                idle.enter_sleep(self);
                (void)idle.take_sleeper((self + 1) % kWorkers);
                if (idle.leave_sleep(self)) {
                    idle.end_search();
                }
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    idle.enter_sleep(0);
    EXPECT_TRUE(idle.someone_could_help());  // that is: a sleeper, and nobody searches
    EXPECT_TRUE(idle.begin_search());
    EXPECT_TRUE(idle.begin_search());
}

}  // namespace
}  // namespace coir::detail
