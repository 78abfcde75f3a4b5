#include "runtime/event_batch.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <thread>

namespace coir::detail {
namespace {

struct alignas(64) Counter {
    std::atomic<std::uint32_t> batches{0};
};

// Of the whole process, as the states are: one can outlive the runtime whose poller has an event for it.
constinit std::array<Counter, EventBatch::Gate::kCount> counters;

}  // namespace

void EventBatch::begin() const noexcept {
    // pairs with IoState::recycle(): either it sees the batch, or the batch sees that the state has gone on
    counters[gate_.index()].batches.fetch_add(1, std::memory_order_seq_cst);
}

void EventBatch::end() const noexcept {
    counters[gate_.index()].batches.fetch_sub(
        1, std::memory_order_release);  // pairs with await_none()
}

void EventBatch::await_none(std::uint64_t gates) noexcept {
    for (; gates != 0; gates &= gates - 1) {
        const Counter& counter = counters[static_cast<std::size_t>(std::countr_zero(gates))];
        while (counter.batches.load(std::memory_order_seq_cst) != 0) {
            std::this_thread::yield();
        }
    }
}

}  // namespace coir::detail
