#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "coir/base/number.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/sanitized.hpp"
#include "stress/seed.hpp"
#include "support/patience.hpp"

namespace coir::test {

/// How many bouts a test has: `usual`, less under a sanitizer, times COIR_STRESS_ROUNDS.
inline std::uint64_t stress_rounds(std::uint64_t usual) {
    if (const char* const factor = std::getenv("COIR_STRESS_ROUNDS")) {
        usual *= parse_integer<std::uint64_t>(factor).value();
    }
#if defined(__SANITIZE_ADDRESS__)
    usual /= 5;
#endif
    return unless_tsan(usual, usual / 20);
}

enum class Side : std::uint8_t { left, right, neither };

struct Score {
    std::uint64_t left = 0;
    std::uint64_t right = 0;
    std::uint64_t bouts = 0;
};

/// Two parties do something to the same waiting fibers at the same time. All of it runs on fibers that no
/// request to stop ends.
class Bout {
public:
    virtual ~Bout() = default;
    /// On the left worker: starts the fibers that wait.
    virtual void begin(SmallRandom& random) = 0;
    /// Whether the fibers wait by now; not insisted on. Both workers run other fibers meanwhile.
    virtual bool is_set_up() = 0;
    /// On the left and on the right worker, which run no other fiber between all bouts of a round.
    virtual void act_left() = 0;
    virtual void act_right() = 0;
    /// On the left worker: looks at how the waits have ended, and says who was faster.
    virtual Side end() = 0;
};

/// Fights bouts, some at a time, again and again. Ends the program, and tells the seed, the round and what each
/// fiber waits for, if no round ends for kPatience.
class Duel final {
public:
    using Bouts = std::vector<std::unique_ptr<Bout>>;
    /// So many at a time let both sides overlap, though they begin at different times; but a worker may not
    /// look at its timers while the waits of so few begin.
    static constexpr std::size_t kBouts = 160;
    static constexpr std::size_t kTimedBouts = 48;

    Duel(std::uint64_t seed, Bouts& bouts) : seed_(seed), bouts_(bouts) {}

    /// `runtime` has two workers.
    Score run(Runtime& runtime, std::uint64_t bouts) {
        rounds_ = (bouts + bouts_.size() - 1) / bouts_.size();
        auto right = runtime.spawn({.name = "right", .worker = 1, .pinned = true}, [this] {
            const this_fiber::Shield shield;
            run_right();
        });
        auto left = runtime.spawn({.name = "left", .worker = 0, .pinned = true}, [this] {
            const this_fiber::Shield shield;
            run_left();
        });
        watch(runtime, left);
        right.join();
        left.join();
        return score_;
    }

private:
    // On one processor they would take turns instead of meeting.
    static void stay_on_processor(std::size_t wanted) {
        cpu_set_t usable;
        if (::sched_getaffinity(0, sizeof usable, &usable) != 0 || CPU_COUNT(&usable) < 2) {
            return;
        }
        for (std::size_t cpu = 0; cpu != CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &usable) && wanted-- == 0) {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET(cpu, &one);
                (void)::sched_setaffinity(0, sizeof one, &one);
            }
        }
    }

    void run_left() {
        stay_on_processor(0);
        SmallRandom random(seed_, 0);
        for (std::uint64_t round = 1; round <= rounds_; ++round) {
            for (const auto& bout : bouts_) {
                bout->begin(random);
            }
            if (random.below(4) != 0) {
                set_up();
            }
            begun_.store(round, std::memory_order_release);
            for (int i = 0; joined_.load(std::memory_order_acquire) != round; ++i) {
                if (i % 1024 == 1023) {
                    std::this_thread::yield();  // there may be no processor for the other one
                }
            }
            met_.store(round, std::memory_order_release);
            fall_behind(random);
            for (const auto& bout : bouts_) {
                jitter(random);
                bout->act_left();
            }
            await(acted_, round);
            for (const auto& bout : bouts_) {
                const Side winner = bout->end();
                score_.left += winner == Side::left ? 1U : 0U;
                score_.right += winner == Side::right ? 1U : 0U;
                ++score_.bouts;
            }
            ended_.store(round, std::memory_order_release);
        }
    }
    void run_right() {
        stay_on_processor(1);
        SmallRandom random(seed_, 1);
        for (std::uint64_t round = 1; round <= rounds_; ++round) {
            await(begun_, round);
            joined_.store(round, std::memory_order_release);
            for (int i = 0; i != 4096 && met_.load(std::memory_order_acquire) != round; ++i) {
            }
            fall_behind(random);
            for (const auto& bout : bouts_) {
                jitter(random);
                bout->act_right();
            }
            acted_.store(round, std::memory_order_release);
        }
    }
    void set_up() {
        for (int i = 0; i != 500; ++i) {
            if (std::ranges::all_of(bouts_, [](const auto& bout) { return bout->is_set_up(); })) {
                return;
            }
            this_fiber::yield();
        }
    }
    // Lets other fibers run meanwhile.
    static void await(const std::atomic<std::uint64_t>& what, std::uint64_t round) {
        for (int i = 0; what.load(std::memory_order_acquire) != round; ++i) {
            this_fiber::yield();
            if (i % 512 == 511) {
                std::this_thread::yield();
            }
        }
    }
    // One side in two, and by how much is of any magnitude: what takes longer on which side is not known.
    static void fall_behind(SmallRandom& random) {
        if (random.below(2) == 0) {
            spin(random.below(1 << random.below(16)));
        }
    }
    static void jitter(SmallRandom& random) { spin(random.below(1 << random.below(8))); }
    static void spin(int steps) {
        for (; steps > 0; --steps) {
            asm volatile("");
        }
    }

    void watch(Runtime& runtime, FiberHandle<void>& left) {
        std::uint64_t seen = 0;
        while (!left.wait(soon())) {
            if (const std::uint64_t ended = ended_.load(); ended != seen) {
                seen = ended;
                continue;
            }
            std::cout << "round " << seen + 1 << " of " << rounds_
                      << " does not end; COIR_TEST_SEED=" << seed_ << '\n';
            for (const FiberInfo& fiber : runtime.fibers()) {
                std::cout << "  " << to_string(fiber) << '\n';
            }
            std::cout << std::flush;
            std::abort();
        }
    }

    const std::uint64_t seed_;
    Bouts& bouts_;
    std::uint64_t rounds_ = 0;
    Score score_;
    // The last round that has come so far.
    alignas(64) std::atomic<std::uint64_t> begun_{0};
    alignas(64) std::atomic<std::uint64_t> joined_{0};
    alignas(64) std::atomic<std::uint64_t> met_{0};
    alignas(64) std::atomic<std::uint64_t> acted_{0};
    alignas(64) std::atomic<std::uint64_t> ended_{0};
};

}  // namespace coir::test
