#include "coir/sync/barrier.hpp"

#include "coir/base/assert.hpp"

namespace coir::detail {

bool BarrierState::arrive(std::size_t count, bool and_drop) noexcept {
    const WaitedWord::State state = phase_.lock();
    COIR_CHECK(count <= left_);
    left_ -= count;
    if (and_drop) {
        --expected_;
    }
    const bool is_last = count != 0 && left_ == 0;
    phase_.unlock(state);
    return is_last;
}

void BarrierState::end_phase() noexcept {
    WakeChain woken;
    const WaitedWord::State state = phase_.lock();
    left_ = expected_;
    waiters_.take_all(woken);
    phase_.unlock({state.value + 1, false});
    woken.wake();
}

Result<void> BarrierState::wait(std::uint64_t phase, Deadline deadline,
                                StopRequests stops) noexcept {
    OwnWait node;
    const WaitedWord::State state = phase_.lock();
    if (state.value != phase) {
        phase_.unlock(state);
        return {};
    }
    waiters_.push_back(node);
    phase_.unlock({state.value, true});
    return await_wake(node, "a barrier", deadline, stops, [&] {
        const WaitedWord::State now = phase_.lock();
        const bool has_left = waiters_.remove_if_linked(node);
        phase_.unlock({now.value, !waiters_.empty()});
        return has_left;
    });
}

}  // namespace coir::detail
