#include "runtime/io_state.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace coir::detail {
namespace {

using namespace std::chrono_literals;

TEST(IoState, HasNoNextOwnerWhileAPollerDealsWithAnEvent) {
    // A poller that was preempted between its look at the generation and its claim once gave the event to whoever
    // had got the state, and the descriptor's number, meanwhile.
    IoState* const state = IoState::acquire();
    const std::uint64_t tag = state->tag();
    ASSERT_EQ(IoState::hold(tag), state);
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
    state->let_go();
    closing.join();
    EXPECT_EQ(IoState::hold(tag), nullptr);
    IoState* const next = IoState::acquire();
    EXPECT_EQ(next, state);
    EXPECT_NE(next->tag(), tag);
    EXPECT_EQ(IoState::hold(next->tag()), next);
    next->let_go();
    IoState::recycle(next);
}

}  // namespace
}  // namespace coir::detail
