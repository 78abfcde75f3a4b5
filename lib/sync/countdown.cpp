#include "coir/sync/countdown.hpp"

#include "coir/base/assert.hpp"

namespace coir::detail {
namespace {

WaitedWord::Value less(WaitedWord::Value left, std::size_t count) noexcept {
    COIR_CHECK(count <= left);
    return left - count;
}

WaitedWord::Value more(WaitedWord::Value left, std::size_t count) noexcept {
    COIR_CHECK(count <= WaitedWord::kMost - left);
    return left + count;
}

}  // namespace

void Countdown::add(std::size_t count) noexcept {
    if (!word_.try_change([=](auto left) { return std::optional(more(left, count)); })) {
        WaitedWord::State state = word_.lock();
        state.value = more(state.value, count);
        word_.unlock(state);
    }
}

void Countdown::subtract(std::size_t count) noexcept {
    if (word_.try_change([=](auto left) { return std::optional(less(left, count)); })) {
        return;
    }
    WakeChain woken;
    WaitedWord::State state = word_.lock();
    state.value = less(state.value, count);
    if (state.value == 0) {
        waiters_.take_all(woken);
        state.has_waiters = false;
    }
    word_.unlock(state);
    woken.wake();
}

Result<void> Countdown::wait(const char* what, Deadline deadline, StopRequests stops) noexcept {
    if (is_zero()) {
        return {};
    }
    OwnWait node;
    const WaitedWord::State state = word_.lock();
    if (state.value == 0) {
        word_.unlock(state);
        return {};
    }
    waiters_.push_back(node);
    word_.unlock({state.value, true});
    return await_wake(node, what, deadline, stops, [&] {
        const WaitedWord::State now = word_.lock();
        const bool has_left = waiters_.remove_if_linked(node);
        word_.unlock({now.value, !waiters_.empty()});
        return has_left;
    });
}

}  // namespace coir::detail
