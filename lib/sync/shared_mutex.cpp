#include "coir/sync/shared_mutex.hpp"

#include <system_error>

#include "coir/base/assert.hpp"

namespace coir {

using detail::WaitedWord;
using Value = WaitedWord::Value;

namespace {

constexpr Value kWriting = 1;
constexpr Value kReader = 2;

// Writers who may go before readers that wait.
constexpr std::uint32_t kPatience = 4;

std::optional<Value> if_free(Value value) noexcept {
    return value == 0 ? std::optional(kWriting) : std::nullopt;
}

std::optional<Value> if_readable(Value value) noexcept {
    return (value & kWriting) == 0 ? std::optional(value + kReader) : std::nullopt;
}

}  // namespace

bool SharedMutex::try_lock() noexcept {
    if (!word_.try_change(if_free) && !take(kWriting)) {
        return false;
    }
    writer_.store(detail::this_execution(), std::memory_order_relaxed);
    return true;
}

Result<void> SharedMutex::lock(Deadline deadline, StopRequests stops) {
    const void* const self = detail::this_execution();
    if (!word_.try_change(if_free)) [[unlikely]] {
        throw_if_writing(self);
        detail::OwnWait node;
        State state = word_.lock();
        if (state.value == 0) {
            state.value = kWriting;
            unlock_word(state);
        } else {
            writers_.push_back(node);
            unlock_word(state);
            if (const auto locked =
                    detail::await_wake(node, "a shared mutex, to write", deadline, stops,
                                       [&] { return withdraw(writers_, node); });
                !locked) {
                return locked;
            }
        }
    }
    writer_.store(self, std::memory_order_relaxed);
    return {};
}

void SharedMutex::unlock() noexcept {
    COIR_ASSERT(writer_.load(std::memory_order_relaxed) == detail::this_execution());
    writer_.store(nullptr, std::memory_order_relaxed);
    if (word_.try_change([](Value) { return std::optional<Value>(0); })) [[likely]] {
        return;
    }
    detail::WakeChain woken;
    State state = word_.lock();
    state.value = 0;
    pass_on(state, woken);
    unlock_word(state);
    woken.wake();
}

bool SharedMutex::try_lock_shared() noexcept {
    return word_.try_change(if_readable) || take(kReader);
}

Result<void> SharedMutex::lock_shared(Deadline deadline, StopRequests stops) {
    if (word_.try_change(if_readable)) [[likely]] {
        return {};
    }
    throw_if_writing(detail::this_execution());
    detail::OwnWait node;
    State state = word_.lock();
    if ((state.value & kWriting) == 0 && writers_.empty()) {
        state.value += kReader;
        unlock_word(state);
        return {};
    }
    readers_.push_back(node);
    unlock_word(state);
    return detail::await_wake(node, "a shared mutex, to read", deadline, stops,
                              [&] { return withdraw(readers_, node); });
}

void SharedMutex::unlock_shared() noexcept {
    if (word_.try_change([](Value value) { return std::optional(value - kReader); })) [[likely]] {
        return;
    }
    detail::WakeChain woken;
    State state = word_.lock();
    COIR_ASSERT(state.value >= kReader);
    state.value -= kReader;
    if (state.value == 0) {
        pass_on(state, woken);
    }
    unlock_word(state);
    woken.wake();
}

void SharedMutex::throw_if_writing(const void* self) const {
    if (writer_.load(std::memory_order_relaxed) == self) {
        throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                                "coir::SharedMutex: the caller holds it");
    }
}

// For the try_ functions, when the word was in use or somebody waits.
bool SharedMutex::take(Value what) noexcept {
    State state = word_.lock();
    const bool can =
        writers_.empty() && (what == kWriting ? state.value == 0 : (state.value & kWriting) == 0);
    state.value += can ? what : 0;
    unlock_word(state);
    return can;
}

// Nobody holds it: gives it to who is next.
void SharedMutex::pass_on(State& state, detail::WakeChain& woken) noexcept {
    if (readers_.empty() || passed_over_ < kPatience) {
        if (detail::WaitNode* const writer = writers_.take_first()) {
            passed_over_ = readers_.empty() ? 0 : passed_over_ + 1;
            state.value = kWriting;
            woken.add(*writer);
            return;
        }
    }
    admit_readers(state, woken);
}

void SharedMutex::admit_readers(State& state, detail::WakeChain& woken) noexcept {
    passed_over_ = 0;
    while (detail::WaitNode* const reader = readers_.take_first()) {
        state.value += kReader;
        woken.add(*reader);
    }
}

bool SharedMutex::withdraw(detail::WaitList& list, detail::WaitNode& node) noexcept {
    detail::WakeChain woken;
    State state = word_.lock();
    const bool has_left = list.remove_if_linked(node);
    if (writers_.empty() && (state.value & kWriting) == 0) {
        admit_readers(state, woken);  // they waited for the writer that has left
    }
    unlock_word(state);
    woken.wake();
    return has_left;
}

void SharedMutex::unlock_word(State state) noexcept {
    word_.unlock({state.value, !writers_.empty() || !readers_.empty()});
}

}  // namespace coir
