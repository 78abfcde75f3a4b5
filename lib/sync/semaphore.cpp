#include "coir/sync/semaphore.hpp"

#include "coir/base/assert.hpp"

namespace coir {

using detail::WaitedWord;

namespace {

WaitedWord::Value sum(WaitedWord::Value permits, std::size_t count) noexcept {
    COIR_CHECK(count <= WaitedWord::kMost - permits);
    return permits + count;
}

// For somebody who is not in the list.
bool has(WaitedWord::State state, std::size_t count) noexcept {
    return !state.has_waiters && state.value >= count;
}

}  // namespace

bool Semaphore::try_acquire(std::size_t count) noexcept {
    if (word_.try_change([=](WaitedWord::Value permits) {
            return permits >= count ? std::optional(permits - count) : std::nullopt;
        })) {
        return true;
    }
    // Perhaps it was only in use.
    WaitedWord::State state = word_.lock();
    const bool can = has(state, count);
    state.value -= can ? count : 0;
    word_.unlock(state);
    return can;
}

Result<void> Semaphore::acquire(std::size_t count, Deadline deadline, StopRequests stops) noexcept {
    if (word_.try_change([=](WaitedWord::Value permits) {
            return permits >= count ? std::optional(permits - count) : std::nullopt;
        })) [[likely]] {
        return {};
    }
    Parker parker;
    detail::PermitWait wait(count, parker);
    if (take_or_enlist(wait)) {
        return {};
    }
    return detail::await_wake(wait, "a semaphore", deadline, stops, [&] { return withdraw(wait); });
}

bool Semaphore::take_or_enlist(detail::PermitWait& wait) noexcept {
    WaitedWord::State state = word_.lock();
    const bool can = has(state, wait.permits);
    if (can) {
        state.value -= wait.permits;
    } else {
        waiters_.push_back(wait);
        state.has_waiters = true;
    }
    word_.unlock(state);
    return can;
}

bool Semaphore::enlist(detail::PermitWait& wait) noexcept {
    WaitedWord::State state = word_.lock();
    const bool can = has(state, wait.permits);
    if (!can) {
        waiters_.push_back(wait);
        state.has_waiters = true;
    }
    word_.unlock(state);
    return !can;
}

void Semaphore::release(std::size_t count) noexcept {
    if (word_.try_change([=](WaitedWord::Value permits) {
            return std::optional(sum(permits, count));
        })) [[likely]] {
        return;
    }
    detail::WakeChain woken;
    WaitedWord::State state = word_.lock();
    state.value = sum(state.value, count);
    serve(state, woken);
    word_.unlock(state);
    woken.wake();
}

bool Semaphore::withdraw(detail::PermitWait& wait) noexcept {
    detail::WakeChain woken;
    WaitedWord::State state = word_.lock();
    const bool has_left = waiters_.remove_if_linked(wait);
    serve(state, woken);  // it may have stood before others for whom there is enough
    word_.unlock(state);
    woken.wake();
    return has_left;
}

void Semaphore::serve(WaitedWord::State& state, detail::WakeChain& woken) noexcept {
    while (detail::WaitNode* const node = waiters_.first()) {
        const std::size_t permits = static_cast<detail::PermitWait*>(node)->permits;
        if (state.value < permits) {
            break;
        }
        waiters_.remove(*node);
        if (node->claim()) {
            state.value -= permits;
            woken.add(*node);
        }
    }
    state.has_waiters = !waiters_.empty();
}

}  // namespace coir
