#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <thread>
#include <vector>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/sanitized.hpp"
#include "stress/seed.hpp"
#include "support/give_way.hpp"
#include "support/joined_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::SmallRandom;
using test::soon;

TEST(SpawnStress, PlainThreadsAndFibersSpawnAndJoinAtOnce) {
    Runtime runtime({.workers = 4});
    std::atomic<long> sum{0};
    const auto work = [&](int who) {
        for (int round = 0; round != 1000; ++round) {
            sum +=
                runtime
                    .spawn([who, round] { return spawn([round] { return round; }).join() + who; })
                    .join();
        }
    };
    {
        std::vector<std::thread> threads;
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != 3; ++i) {
            threads.emplace_back(work, i);
            fibers.push_back(runtime.spawn([&, i] { work(i); }));
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
    }
    EXPECT_EQ(sum, 2L * 3 * (999 * 1000 / 2) + 2L * 1000 * (0 + 1 + 2));
}

long leaves(int depth) {
    if (depth == 0) {
        return 1;
    }
    auto left = spawn([depth] { return leaves(depth - 1); });
    auto right = spawn([depth] { return leaves(depth - 1); });
    return left.join() + right.join();
}

TEST(SpawnStress, AForkJoinTreeCountsItsLeaves) {
    Runtime runtime({.workers = 4, .stack_bytes = 32 * 1024});
    constexpr int kDepth = test::unless_tsan(14, 10);
    EXPECT_EQ(runtime.run([] { return leaves(kDepth); }), 1 << kDepth);
    EXPECT_EQ(runtime.run([] { return leaves(3); }), 8);
}

int chain(int depth) {
    return depth == 0 ? 0 : 1 + spawn([depth] { return chain(depth - 1); }).join();
}

TEST(SpawnStress, AChainOfAThousandFibersThatJoinEachOtherUnwinds) {
    Runtime runtime({.workers = 4, .stack_bytes = 32 * 1024});
    for (int round = 0; round != 20; ++round) {
        EXPECT_EQ(runtime.run([] { return chain(1000); }), 1000);
    }
}

TEST(SpawnStress, AHundredThousandFibersOneAfterTheOther) {
    constexpr int kFibers = test::unless_tsan(100'000, 10'000);
    Runtime runtime({.workers = 4});
    runtime.run([] {
        for (int i = 0; i != kFibers; ++i) {
            ASSERT_EQ(spawn([i] { return i; }).join(), i);
        }
    });
    EXPECT_EQ(runtime.stats().spawned, kFibers + 1U);
}

TEST(SpawnStress, TenThousandFibersAtOnceOnEveryKindOfWait) {
    constexpr int kFibers = test::unless_tsan(10'000, 2'000);
    Runtime runtime({.workers = 4, .stack_bytes = 32 * 1024});
    std::atomic<int> alive{0};
    std::atomic<bool> all_alive{false};
    std::atomic<int> ended{0};
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> fibers;
        for (int i = 0; i != kFibers; ++i) {
            fibers.push_back(spawn([&, i] {
                char pattern[512];
                std::fill(std::begin(pattern), std::end(pattern), static_cast<char>(i));
                if (++alive == kFibers) {
                    all_alive = true;
                }
                while (!all_alive) {
                    test::give_way(i % 2 != 0, 1ms);
                }
                ended += std::count(std::begin(pattern), std::end(pattern), static_cast<char>(i)) ==
                         std::ssize(pattern);
            }));
        }
    });
    EXPECT_EQ(ended, kFibers);
}

/// A pattern in the frame of a fiber, which is wrong if two fibers ever used one stack, or one fiber ran
/// on two threads.
class Frame final {
public:
    explicit Frame(std::uint64_t who) noexcept : who_(who) {
        for (std::size_t i = 0; i != std::size(words_); ++i) {
            words_[i] = who * 31 + i;
        }
    }
    [[nodiscard]] bool is_intact() const noexcept {
        for (std::size_t i = 0; i != std::size(words_); ++i) {
            if (words_[i] != who_ * 31 + i) {
                return false;
            }
        }
        return true;
    }
    /// Changes the pattern: whoever else thinks that this frame is his finds out.
    void turn() noexcept {
        ++who_;
        for (std::size_t i = 0; i != std::size(words_); ++i) {
            words_[i] = who_ * 31 + i;
        }
    }

private:
    std::uint64_t who_;
    volatile std::uint64_t words_[64];
};

void spin(int turns) {
    while (turns-- != 0) {
        asm volatile("");
    }
}

TEST(Adoption, FibersThatAreTakenOverInTheirSleepRunOnceAtATime) {
    // A fiber is woken by another worker while it is still leaving its own stack.
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = 4});
    std::atomic<long> moves{0};
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> lanes;
        for (int lane = 0; lane != 8; ++lane) {
            lanes.push_back(spawn({.worker = lane % 4}, [&, lane] {
                SmallRandom random(seed, lane);
                Frame frame(static_cast<std::uint64_t>(lane) << 32);
                for (int round = 0; round != 4000; ++round) {
                    const int before = this_worker::index();
                    const int other = random.below(4);
                    ASSERT_TRUE(frame.is_intact());
                    frame.turn();
                    // The other ends at the moment in which this one goes to sleep.
                    const int spins = random.below(200);
                    spawn({.worker = other, .pinned = random.below(2) == 0}, [spins] {
                        Frame inner(7);
                        spin(spins);
                        EXPECT_TRUE(inner.is_intact());
                    }).join();
                    moves += this_worker::index() != before;
                }
            }));
        }
    });
    EXPECT_GT(moves, 0);
}

TEST(Adoption, ReadersThatAreTakenOverInTheirSleepRunOnceAtATime) {
    const std::uint64_t seed = test::make_seed();
    Runtime runtime({.workers = 4});
    std::atomic<long> moves{0};
    runtime.run([&] {
        std::vector<test::JoinedFiber<void>> lanes;
        for (int lane = 0; lane != 8; ++lane) {
            lanes.push_back(spawn({.worker = lane % 4}, [&, lane] {
                IoSource source(test::make_eventfd());
                SmallRandom random(seed, lane);
                Frame frame(static_cast<std::uint64_t>(lane) << 32);
                for (int round = 0; round != 2000; ++round) {
                    const int before = this_worker::index();
                    ASSERT_TRUE(frame.is_intact());
                    frame.turn();
                    auto writer =
                        spawn({.worker = random.below(4)}, [&, spins = random.below(200)] {
                            spin(spins);
                            test::signal(source.fd());
                        });
                    do {
                        ASSERT_TRUE(source.wait_readable(soon()));
                    } while (test::take_signals(source.fd()) == 0);
                    writer.join();
                    moves += this_worker::index() != before;
                }
            }));
        }
    });
    EXPECT_GT(moves, 0);
}

}  // namespace
}  // namespace coir
