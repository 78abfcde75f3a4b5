#include "coir/sync/waited_word.hpp"

#include <thread>

namespace coir::detail {
namespace {

// Looks at a word that is in use, a few instructions as a rule, before its user is given the processor.
constexpr int kSpins = 64;

}  // namespace

WaitedWord::State WaitedWord::lock() noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (int tries = 0;; ++tries) {
        word &= ~kLocked;
        if (word_.compare_exchange_weak(word, word | kLocked, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
            return {word >> kFlagBits, (word & kHasWaiters) != 0};
        }
        if (tries >= kSpins) {
            std::this_thread::yield();
        }
    }
}

}  // namespace coir::detail
