#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace coir::detail {

/// A set of workers that any thread may change.
class WorkerSet final {
public:
    explicit WorkerSet(std::size_t workers);

    void insert(std::size_t worker) noexcept;
    /// Whether it was there.
    bool erase(std::size_t worker) noexcept;
    /// Takes out one member, looking from `start` on; -1 if there is none.
    [[nodiscard]] int take_any(std::size_t start) noexcept;
    /// A member, looking from `start` on; -1 if there is none.
    [[nodiscard]] int find_any(std::size_t start) const noexcept;
    [[nodiscard]] bool empty() const noexcept;

private:
    const std::size_t words_;
    // Bit w % 64 of word w / 64 is set while worker w is a member. Sequentially consistent: "enter
    // this set, then look at the other" on both sides must not miss each other (Dekker).
    std::unique_ptr<std::atomic<std::uint64_t>[]> bits_;
};

/// Who sleeps, who searches for work, who has more than it needs; decides whom to wake.
///
/// The problem: waking a thief costs a system call and its caches, so a balanced server must not do
/// it at all; but work must not lie in one queue while another worker sleeps. The protocol is that
/// of Go's scheduler (findRunnable, wakep): at most a few workers search at a time; a worker with
/// surplus enters `surplus` and wakes one sleeper only if nobody searches; a searcher that gives up
/// stops being one first and then looks at `surplus` again. Idle workers look at that one set, not
/// at every queue.
///
/// Watchers answer another problem: a worker that computes for long neither polls nor shares. While
/// there is activity, up to kMaxWatchers sleepers sleep for kWatchInterval only and look after
/// workers that have not moved on since. While there are fibers that run for long, the runtime is
/// alert, and they look sooner.
///
/// Threads: any.
class IdleWorkers final {
public:
    using Clock = std::chrono::steady_clock;

    static constexpr int kMaxWatchers = 4;
    /// How long the runtime stays alert: requests that are slow once in a second still find it so.
    static constexpr std::chrono::seconds kAlert{1};

    explicit IdleWorkers(std::size_t workers)
        : sleepers_(workers), surplus_(workers), workers_(workers) {}

    // A worker with surplus.
    /// Cheap: whether offering surplus could wake anybody. Two loads.
    [[nodiscard]] bool someone_could_help() const noexcept {
        return !sleepers_.empty() && searching_.load(std::memory_order_relaxed) == 0;
    }
    /// Announces surplus. Returns the sleeper to wake, now counted as searching, or -1.
    [[nodiscard]] int offer_surplus(std::size_t worker) noexcept;

    // A worker that runs out of work.
    [[nodiscard]] bool has_surplus() const noexcept { return !surplus_.empty(); }
    /// False if enough others search already.
    [[nodiscard]] bool begin_search() noexcept;
    void end_search() noexcept { searching_.fetch_sub(1, std::memory_order_seq_cst); }
    [[nodiscard]] int find_surplus(std::size_t thief) const noexcept {
        return surplus_.find_any((thief + 1) % workers_);
    }
    void withdraw_surplus(std::size_t worker) noexcept { surplus_.erase(worker); }

    void enter_sleep(std::size_t worker) noexcept { sleepers_.insert(worker); }
    /// True if a waker has taken the worker out: it is counted as searching then.
    [[nodiscard]] bool leave_sleep(std::size_t worker) noexcept { return !sleepers_.erase(worker); }

    [[nodiscard]] bool become_watcher() noexcept;
    void resign_watcher() noexcept { watchers_.fetch_sub(1, std::memory_order_seq_cst); }
    /// The sleeper to wake for something that any worker can do, counted as searching; or -1.
    [[nodiscard]] int take_sleeper(std::size_t from = 0) noexcept;
    /// The sleeper to wake because nobody watches, counted as searching; or -1.
    [[nodiscard]] int replace_watchers(std::size_t worker) noexcept;

    // A fiber has run for long.
    void raise_alert(Clock::time_point now) noexcept {
        alert_until_.store((now + kAlert).time_since_epoch().count(), std::memory_order_relaxed);
    }
    [[nodiscard]] bool is_alert(Clock::time_point now) const noexcept {
        return now.time_since_epoch().count() < alert_until_.load(std::memory_order_relaxed);
    }

private:
    WorkerSet sleepers_;
    WorkerSet surplus_;
    const std::size_t workers_;
    // In ticks of Clock. Written once per long run, so it lies beside what is only read.
    std::atomic<Clock::rep> alert_until_{0};
    alignas(64) std::atomic<int> searching_{0};
    std::atomic<int> watchers_{0};
};

}  // namespace coir::detail
