#include "runtime/poller.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <set>

#include "runtime/descriptors.hpp"

namespace coir::detail {
namespace {

// Of runtimes that no test has.
constexpr PollerNumber kFirst{0xfffe'0000, 3};
constexpr PollerNumber kSecond{0xfffe'0001, 5};

// A close would wait for pollers that have nothing to do with it.
TEST(PollerNumber, HasAGateOfItsOwnInSmallRuntimes) {
    std::set<std::size_t> gates;
    for (std::uint64_t runtime = 1; runtime != 4; ++runtime) {
        for (std::uint64_t worker = 0; worker != 16; ++worker) {
            gates.insert(PollerNumber(runtime, worker).gate().index());
        }
    }
    EXPECT_EQ(gates.size(), 3U * 16U);
}

// Who closes a descriptor waits for batches at these, and at no others.
TEST(Poller, TellsAStateThatItMayHaveEventsForIt) {
    test::FdPair ends = test::make_socket_pair();
    Poller first(kFirst);
    Poller second(kSecond);
    IoState* const state = IoState::acquire();
    ASSERT_NE(state, nullptr);
    EXPECT_EQ(state->gates, 0U);
    bool moved = false;
    ASSERT_TRUE(first.watch(ends.first.get(), *state, IoState::reading, false, moved));
    EXPECT_EQ(state->gates, kFirst.gate().bit());
    ASSERT_TRUE(second.watch(ends.first.get(), *state, IoState::reading, false, moved));
    EXPECT_TRUE(moved);
    EXPECT_EQ(state->gates, kFirst.gate().bit() | kSecond.gate().bit())
        << "what the first has found before may still lie there";
    ends.first.reset();
    IoState::recycle(state);
    IoState* const next = IoState::acquire();
    ASSERT_EQ(next, state);
    EXPECT_EQ(next->gates, 0U);
    IoState::recycle(next);
}

TEST(Poller, FindsNobodyForAnEarlierOwnersEvent) {
    test::FdPair ends = test::make_socket_pair();
    Poller poller(kFirst);
    IoState* const state = IoState::acquire();
    ASSERT_NE(state, nullptr);
    bool moved = false;
    ASSERT_TRUE(poller.watch(ends.first.get(), *state, IoState::reading, false, moved));
    // The descriptor stays open, as where somebody has a duplicate.
    IoState::recycle(state);
    IoState* const next = IoState::acquire();
    ASSERT_EQ(next, state);
    ForeignWaiter waiter([](ForeignWaiter&, Worker*) noexcept {});
    next->slots[IoState::reading].store(
        reinterpret_cast<std::uintptr_t>(static_cast<Waiter*>(&waiter)));
    ends.second.reset();
    ReadyList ready;
    poller.look(ready);
    EXPECT_TRUE(ready.waiters().empty());
    EXPECT_FALSE(next->has_ended());
    next->slots[IoState::reading].store(kSlotEmpty);
    IoState::recycle(next);
}

}  // namespace
}  // namespace coir::detail
