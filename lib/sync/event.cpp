#include "coir/sync/event.hpp"

namespace coir {

using detail::WaitedWord;

void Event::set() noexcept {
    if (word_.try_change([](WaitedWord::Value) { return std::optional<WaitedWord::Value>(1); })) {
        return;
    }
    detail::WakeChain woken;
    (void)word_.lock();
    waiters_.take_all(woken);
    word_.unlock({1, false});
    woken.wake();
}

void Event::reset() noexcept {
    WaitedWord::State state = word_.lock();
    state.value = 0;
    word_.unlock(state);
}

Result<void> Event::wait(Deadline deadline, StopRequests stops) noexcept {
    if (is_set()) {
        return {};
    }
    detail::OwnWait node;
    if (!enlist(node)) {
        return {};
    }
    return detail::await_wake(node, "an event", deadline, stops, [&] { return withdraw(node); });
}

bool Event::enlist(detail::WaitNode& node) noexcept {
    const WaitedWord::State state = word_.lock();
    if (state.value != 0) {
        word_.unlock(state);
        return false;
    }
    waiters_.push_back(node);
    word_.unlock({0, true});
    return true;
}

bool Event::withdraw(detail::WaitNode& node) noexcept {
    const WaitedWord::State state = word_.lock();
    const bool has_left = waiters_.remove_if_linked(node);
    word_.unlock({state.value, !waiters_.empty()});
    return has_left;
}

}  // namespace coir
