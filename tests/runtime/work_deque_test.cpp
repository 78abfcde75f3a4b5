#include "runtime/work_deque.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace coir::detail {
namespace {

struct Item {
    int number = 0;
    std::atomic<int> taken{0};
};

std::vector<Item> make_items(int count) {
    std::vector<Item> items(static_cast<std::size_t>(count));
    for (int i = 0; i != count; ++i) {
        items[static_cast<std::size_t>(i)].number = i;
    }
    return items;
}

TEST(WorkDeque, IsEmptyAtFirst) {
    WorkDeque<Item> deque;
    EXPECT_TRUE(deque.empty());
    EXPECT_EQ(deque.size(), 0U);
    EXPECT_EQ(deque.pop(), nullptr);
    Item* stolen = nullptr;
    EXPECT_EQ(deque.steal(&stolen, 1), 0U);
}

TEST(WorkDeque, OwnerTakesTheOldestItem) {
    WorkDeque<Item> deque;
    auto items = make_items(100);
    for (Item& item : items) {
        deque.push(&item);
    }
    EXPECT_EQ(deque.size(), 100U);
    for (Item& item : items) {
        EXPECT_EQ(deque.pop(), &item);
    }
    EXPECT_TRUE(deque.empty());
}

TEST(WorkDeque, ShowsWhatComesNextAndAfterThat) {
    WorkDeque<Item> deque;
    EXPECT_EQ(deque.peek(), nullptr);
    auto items = make_items(4);
    for (Item& item : items) {
        deque.push(&item);
    }
    (void)deque.pop();
    EXPECT_EQ(deque.peek(), &items[1]);
    EXPECT_EQ(deque.peek(2), &items[3]);
    EXPECT_EQ(deque.peek(3), nullptr);
    EXPECT_EQ(deque.pop(), &items[1]) << "still there";
}

TEST(WorkDeque, ThiefTakesTheOlderHalf) {
    WorkDeque<Item> deque;
    auto items = make_items(9);
    for (Item& item : items) {
        deque.push(&item);
    }
    std::array<Item*, 16> loot{};
    ASSERT_EQ(deque.steal(loot.data(), loot.size()), 5U);
    for (std::size_t i = 0; i != 5; ++i) {
        EXPECT_EQ(loot[i], &items[i]);
    }
    EXPECT_EQ(deque.pop(), &items[5]);
    EXPECT_EQ(deque.size(), 3U);
}

TEST(WorkDeque, ThiefTakesALoneItem) {
    WorkDeque<Item> deque;
    Item item;
    deque.push(&item);
    Item* stolen = nullptr;
    EXPECT_EQ(deque.steal(&stolen, 1), 1U);
    EXPECT_EQ(stolen, &item);
    EXPECT_TRUE(deque.empty());
}

TEST(WorkDeque, ThiefTakesNoMoreThanItHasRoomFor) {
    WorkDeque<Item> deque;
    auto items = make_items(100);
    for (Item& item : items) {
        deque.push(&item);
    }
    std::array<Item*, 3> loot{};
    EXPECT_EQ(deque.steal(loot.data(), loot.size()), 3U);
    EXPECT_EQ(deque.steal(loot.data(), 0), 0U);
    EXPECT_EQ(deque.size(), 97U);
}

TEST(WorkDeque, GrowsAndKeepsTheOrderWhereverItsHeadIs) {
    for (int offset = 0; offset != 9; ++offset) {
        WorkDeque<Item> deque(4);
        auto items = make_items(1000);
        for (int i = 0; i != offset; ++i) {  // turns the ring
            deque.push(&items[0]);
            (void)deque.pop();
        }
        for (Item& item : items) {
            deque.push(&item);
        }
        EXPECT_EQ(deque.size(), 1000U);
        for (Item& item : items) {
            ASSERT_EQ(deque.pop(), &item) << "offset " << offset;
        }
        EXPECT_EQ(deque.pop(), nullptr);
    }
}

TEST(WorkDeque, WorksOnAfterATrimWhereverItsHeadIs) {
    constexpr int kItems = 50'000;
    WorkDeque<Item> deque(2);
    auto items = make_items(kItems);
    for (int round = 0; round != 3; ++round) {
        for (int i = 0; i != kItems - round; ++i) {
            deque.push(&items[static_cast<std::size_t>(i)]);
            if (i == kItems / 2) {
                deque.trim();  // not empty: nothing is lost
            }
        }
        for (int i = 0; i != kItems - round; ++i) {
            Item* const item = deque.pop();
            ASSERT_NE(item, nullptr);
            ASSERT_EQ(item->number, i);
        }
        EXPECT_EQ(deque.pop(), nullptr);
        deque.trim();
    }
}

struct Crowd {
    int thieves;
    std::size_t capacity;
};

class WorkDequeUnderThieves : public testing::TestWithParam<Crowd> {};

INSTANTIATE_TEST_SUITE_P(Crowd, WorkDequeUnderThieves,
                         testing::Values(Crowd{1, 256}, Crowd{3, 256}, Crowd{3, 2}));

TEST_P(WorkDequeUnderThieves, NothingIsLostAndNothingIsTakenTwice) {
    constexpr int kItems = 300'000;
    WorkDeque<Item> deque(GetParam().capacity);
    auto items = make_items(kItems);
    std::atomic<bool> done{false};
    std::atomic<int> taken{0};
    const auto take = [&](Item* item) {
        EXPECT_EQ(item->taken.fetch_add(1), 0) << "item " << item->number;
        ++taken;
    };
    std::vector<std::thread> thieves;
    for (int i = 0; i != GetParam().thieves; ++i) {
        thieves.emplace_back([&] {
            std::array<Item*, 16> loot{};
            int last = -1;
            while (!done) {
                const std::size_t count = deque.steal(loot.data(), loot.size());
                for (std::size_t k = 0; k != count; ++k) {
                    EXPECT_GT(loot[k]->number, last);  // the oldest first
                    last = loot[k]->number;
                    take(loot[k]);
                }
                if (count == 0) {
                    std::this_thread::yield();
                }
            }
        });
    }
    int next = 0;
    while (next != kItems) {
        // Bursts of all sizes, so that it is often nearly empty and often grows.
        for (int burst = 1 + next % 97; burst != 0 && next != kItems; --burst) {
            deque.push(&items[static_cast<std::size_t>(next++)]);
        }
        for (int pops = next % 41; pops != 0; --pops) {
            if (Item* const item = deque.pop()) {
                take(item);
            }
        }
        if (next % 1000 < 10) {  // drains it, now and then after it has grown
            while (Item* const item = deque.pop()) {
                take(item);
            }
        }
        deque.trim();
    }
    while (Item* const item = deque.pop()) {
        take(item);
    }
    // A thief may still be counting its loot.
    while (taken < kItems) {
        std::this_thread::yield();
    }
    done = true;
    for (std::thread& thief : thieves) {
        thief.join();
    }
    EXPECT_EQ(taken, kItems);
    EXPECT_TRUE(deque.empty());
}

}  // namespace
}  // namespace coir::detail
