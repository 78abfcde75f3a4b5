#include "runtime/io_state.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "runtime/event_batch.hpp"
#include "runtime/sanitized.hpp"
#include "support/process_facts.hpp"

namespace coir::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::uintptr_t kPageBytes = 4096;
// More slabs than keep their pages.
constexpr std::size_t kSlabs = IoStateSlabs::kSpareSlabs + 8;
constexpr std::size_t kCrowd = kSlabs * IoStateSlab::kStates;

std::vector<IoState*> acquire(std::size_t count) {
    std::vector<IoState*> states;
    for (std::size_t i = 0; i != count; ++i) {
        states.push_back(IoState::acquire());
        EXPECT_NE(states.back(), nullptr);
    }
    return states;
}
void recycle(const std::vector<IoState*>& states) {
    for (IoState* const state : states) {
        IoState::recycle(state);
    }
}

// Of a poller that is only played here.
constexpr EventBatch::Gate kGate{7};

/// What the poller would find, if it had this event.
IoState* found(std::uint64_t tag) {
    const EventBatch batch(kGate);
    return IoState::find(tag);
}

std::uint16_t generation_in(std::uint64_t tag) {
    return static_cast<std::uint16_t>(tag >> 48);
}

std::set<std::uintptr_t> pages_of(const std::vector<IoState*>& states) {
    std::set<std::uintptr_t> pages;
    for (const IoState* const state : states) {
        pages.insert(reinterpret_cast<std::uintptr_t>(state) / kPageBytes * kPageBytes);
    }
    return pages;
}
std::size_t resident(const std::set<std::uintptr_t>& pages) {
    std::size_t count = 0;
    for (const std::uintptr_t page : pages) {
        unsigned char is_resident = 0;
        EXPECT_EQ(::mincore(reinterpret_cast<void*>(page), kPageBytes, &is_resident), 0);
        count += is_resident & 1U;
    }
    return count;
}

TEST(IoState, HasNoNextOwnerWhileAPollerDealsWithAnEvent) {
    // A poller that was preempted between its look at the generation and its claim once gave the event to whoever
    // had got the state, and the descriptor's number, meanwhile.
    IoState* const state = IoState::acquire();
    const std::uint64_t tag = state->tag();
    state->gates = kGate.bit();
    std::optional<EventBatch> batch(kGate);
    ASSERT_EQ(IoState::find(tag), state);
    std::atomic<bool> is_free{false};
    std::thread closing([&] {
        IoState::recycle(state);
        is_free = true;
    });
    while (state->tag() == tag) {  // until it has begun
        std::this_thread::yield();
    }
    std::this_thread::sleep_for(2ms);
    EXPECT_FALSE(is_free);
    batch.reset();
    closing.join();
    EXPECT_EQ(found(tag), nullptr);
    IoState* const next = IoState::acquire();
    EXPECT_EQ(next, state);
    EXPECT_NE(next->tag(), tag);
    EXPECT_EQ(found(next->tag()), next);
    IoState::recycle(next);
}

TEST(IoState, DoesNotWaitForPollersThatHaveNoEventForIt) {
    const EventBatch elsewhere(EventBatch::Gate(kGate.index() + 1));
    IoState* const state = IoState::acquire();
    state->gates = kGate.bit();
    IoState::recycle(state);
}

TEST(IoState, CanGetItsNextOwnerFromWhatABatchIsLeftFor) {
    IoState* const state = IoState::acquire();
    state->gates = kGate.bit();
    const std::uint64_t tag = state->tag();
    EventBatch batch(kGate);
    ASSERT_EQ(IoState::find(tag), state);
    batch.leave_for([&] { IoState::recycle(state); });  // as a callback that closes the descriptor
    EXPECT_EQ(IoState::find(tag), nullptr);
}

TEST(IoState, LeavesNoMoreMemoryBehindThanThatOfAFewSlabs) {
    if (::sysconf(_SC_PAGESIZE) != kPageBytes) {
        GTEST_SKIP() << "counted in pages of " << kPageBytes;
    }
    constexpr std::size_t kPagesPerSlab = IoStateSlab::kStates * sizeof(IoState) / kPageBytes;
    for (int burst = 0; burst != 3; ++burst) {
        const std::vector<IoState*> states = acquire(kCrowd);
        const auto pages = pages_of(states);
        ASSERT_EQ(resident(pages), pages.size());
        EXPECT_LE(pages.size(), (kSlabs + 1) * kPagesPerSlab) << "slabs in use are filled first";
        // One stays: the memory that it holds with it is that of its slab.
        recycle({states.begin() + 1, states.end()});
        EXPECT_LE(resident(pages), (IoStateSlabs::kSpareSlabs + 1) * kPagesPerSlab);
        recycle({states.front()});
        EXPECT_LE(resident(pages), IoStateSlabs::kSpareSlabs * kPagesPerSlab);
    }
}

TEST(IoState, GoesOnWithALaterGenerationWhenItsMemoryHasBeenAway) {
    std::map<IoState*, std::vector<std::uint64_t>> tags;
    for (int burst = 0; burst != 3; ++burst) {
        const std::vector<IoState*> states = acquire(kCrowd);
        for (IoState* const state : states) {
            auto& earlier = tags[state];
            if (!earlier.empty()) {
                EXPECT_EQ(generation_in(state->tag()), generation_in(earlier.back()) + 1);
            }
            for (const std::uint64_t tag : earlier) {
                ASSERT_EQ(found(tag), nullptr);
            }
            earlier.push_back(state->tag());
            EXPECT_EQ(found(state->tag()), state);
        }
        recycle(states);
        for (const auto& [state, earlier] : tags) {
            for (const std::uint64_t tag : earlier) {
                ASSERT_EQ(found(tag), nullptr);
            }
        }
    }
    EXPECT_EQ(tags.size(), kCrowd) << "the same states each time";
}

TEST(IoState, NeverHasGenerationZero) {
    IoState* state = IoState::acquire();
    const std::uint64_t first = state->tag();
    for (int i = 0; i != 0x1'0000; ++i) {
        ASSERT_NE(generation_in(state->tag()), 0);
        IoState* const last = state;
        IoState::recycle(state);
        state = IoState::acquire();
        ASSERT_EQ(state, last);
    }
    EXPECT_NE(state->tag(), first) << "one generation less than there are numbers";
    IoState::recycle(state);
}

TEST(IoState, ForgetsTheEndsOfEarlierOwners) {
    IoState* state = IoState::acquire();
    const std::uint64_t first = state->tag();
    state->report_end(IoState::reading, first);
    state->report_end(IoState::writing, first);
    ASSERT_TRUE(state->has_ended());
    do {
        IoState::recycle(state);
        state = IoState::acquire();
    } while (state->tag() != first);  // once around
    EXPECT_FALSE(state->has_ended());
    EXPECT_EQ(state->take_end(IoState::reading), IoState::End::none);
    EXPECT_EQ(state->take_end(IoState::writing), IoState::End::none);
    IoState::recycle(state);
}

// If it wrote, the memory would be back, and stay.
TEST(IoState, IsNotWrittenForAStaleEvent) {
    constexpr std::size_t kManySlabs = IoStateSlabs::kSpareSlabs + 128;
    const std::vector<IoState*> states = acquire(kManySlabs * IoStateSlab::kStates);
    std::vector<std::uint64_t> tags;
    for (const IoState* const state : states) {
        tags.push_back(state->tag());
    }
    recycle(states);
    (void)test::resident_bytes();  // what a first look needs
    const std::size_t before = test::resident_bytes();
    for (const std::uint64_t tag : tags) {
        ASSERT_EQ(found(tag), nullptr);
    }
    // What is only read is the kernel's page of zeros, which does not count.
    EXPECT_LT(test::resident_bytes(), before + kManySlabs * kPageBytes / 2);
}

// A poller that has stale events looks at states while their memory is given away, comes back, and has
// owners again. What it finds is the owner's that the event is for, and nobody else's before its batch has ended.
TEST(IoState, IsNotTouchedByStaleEventsWhileItsMemoryComesAndGoes) {
    constexpr int kRounds = test::unless_tsan(400, 60);
    constexpr std::size_t kEvents = 64;
    std::vector<std::atomic<std::uint64_t>> tags(kCrowd);
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> met{0};
    std::thread poller([&] {
        for (std::size_t begin = 0; !done; begin = (begin + kEvents) % kCrowd) {
            std::this_thread::yield();  // it has more to do than this
            const EventBatch batch(kGate);
            for (std::size_t i = begin; i != begin + kEvents; ++i) {
                const std::uint64_t seen = tags[i].load(std::memory_order_acquire);
                IoState* const state = seen == 0 ? nullptr : IoState::find(seen);
                if (state == nullptr) {
                    continue;
                }
                state->report_end(IoState::reading, seen);
                // Whoever closes it may have begun, and waits for us.
                const int later = generation_in(state->tag()) - generation_in(seen);
                EXPECT_TRUE(later == 0 || later == 1) << later;
                met.fetch_add(1, std::memory_order_relaxed);
            }
        }
    });
    // Until the poller has met an owner at least once, however late its thread begins.
    for (int round = 0; round < kRounds || met == 0; ++round) {
        const std::vector<IoState*> states = acquire(kCrowd);
        for (std::size_t i = 0; i != states.size(); ++i) {
            EXPECT_EQ(states[i]->ends[IoState::reading], 0U) << "left there for an earlier owner";
            states[i]->gates = kGate.bit();
            tags[i].store(states[i]->tag(), std::memory_order_release);
        }
        recycle(states);
    }
    done = true;
    poller.join();
}

}  // namespace
}  // namespace coir::detail
