#include "runtime/idle_workers.hpp"

#include <bit>

namespace coir::detail {

WorkerSet::WorkerSet(std::size_t workers)
    : words_((workers + 63) / 64), bits_(std::make_unique<std::atomic<std::uint64_t>[]>(words_)) {}

void WorkerSet::insert(std::size_t worker) noexcept {
    bits_[worker / 64].fetch_or(std::uint64_t{1} << (worker % 64), std::memory_order_seq_cst);
}

bool WorkerSet::erase(std::size_t worker) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << (worker % 64);
    return (bits_[worker / 64].fetch_and(~bit, std::memory_order_seq_cst) & bit) != 0;
}

int WorkerSet::find_any(std::size_t start) const noexcept {
    for (std::size_t i = 0; i <= words_; ++i) {
        const std::size_t word = (start / 64 + i) % words_;
        std::uint64_t bits = bits_[word].load(std::memory_order_seq_cst);
        if (i == 0) {  // the first word from `start` on; the last round sees all of it
            bits &= ~std::uint64_t{0} << (start % 64);
        }
        if (bits != 0) {
            return static_cast<int>(word * 64) + std::countr_zero(bits);
        }
    }
    return -1;
}

int WorkerSet::take_any(std::size_t start) noexcept {
    for (;;) {
        const int worker = find_any(start);
        if (worker < 0 || erase(static_cast<std::size_t>(worker))) {
            return worker;
        }
    }
}

bool WorkerSet::empty() const noexcept {
    for (std::size_t word = 0; word != words_; ++word) {
        if (bits_[word].load(std::memory_order_seq_cst) != 0) {
            return false;
        }
    }
    return true;
}

int IdleWorkers::offer_surplus(std::size_t worker) noexcept {
    surplus_.insert(worker);
    // pairs with end_search() and enter_sleep(): each is followed by a look at surplus_
    int none = 0;
    if (!searching_.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) {
        return -1;  // who searches now will see the surplus
    }
    const int sleeper = sleepers_.take_any((worker + 1) % workers_);
    if (sleeper < 0) {
        end_search();
    }
    return sleeper;
}

bool IdleWorkers::begin_search() noexcept {
    int searching = searching_.load(std::memory_order_relaxed);
    // Go lets half of the busy ones search; two are enough to spread work by doubling.
    while (searching < 2) {
        if (searching_.compare_exchange_weak(searching, searching + 1, std::memory_order_seq_cst)) {
            return true;
        }
    }
    return false;
}

bool IdleWorkers::become_watcher() noexcept {
    int watchers = watchers_.load(std::memory_order_relaxed);
    while (watchers < kMaxWatchers) {
        if (watchers_.compare_exchange_weak(watchers, watchers + 1, std::memory_order_seq_cst)) {
            return true;
        }
    }
    return false;
}

int IdleWorkers::take_sleeper(std::size_t from) noexcept {
    if (sleepers_.empty()) {
        return -1;
    }
    // Counted before it is taken: it may end its search before this returns.
    searching_.fetch_add(1, std::memory_order_seq_cst);
    const int sleeper = sleepers_.take_any(from % workers_);
    if (sleeper < 0) {
        end_search();
    }
    return sleeper;
}

int IdleWorkers::replace_watchers(std::size_t worker) noexcept {
    return watchers_.load(std::memory_order_seq_cst) == 0 ? take_sleeper(worker + 1) : -1;
}

}  // namespace coir::detail
