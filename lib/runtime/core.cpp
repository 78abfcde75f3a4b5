#include "runtime/core.hpp"

#include <algorithm>
#include <new>
#include <system_error>
#include <thread>

#include "coir/base/assert.hpp"

namespace coir::detail {
namespace {

constexpr std::size_t kLeastStackBytes = 16 * 1024;

std::uint64_t next_runtime_number() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

RuntimeCore::RuntimeCore(const RuntimeOptions& options)
    : options_(options),
      number_(next_runtime_number()),
      slabs_(options.stack_bytes),
      idle_(options.workers),
      started_(static_cast<std::ptrdiff_t>(options.workers)) {
    workers_.reserve(options.workers);
    for (std::size_t i = 0; i != options.workers; ++i) {
        workers_.push_back(
            std::make_unique<Worker>(*this, i, slabs_, options.warm_stacks_per_worker));
    }
    std::size_t running = 0;
    try {
        for (; running != workers_.size(); ++running) {
            workers_[running]->start();
        }
    } catch (...) {
        // Those that run wait for the others: let them end without having begun.
        for (std::size_t i = 0; i != running; ++i) {
            workers_[i]->abandon();
        }
        started_.count_down(static_cast<std::ptrdiff_t>(workers_.size() - running));
        for (std::size_t i = 0; i != running; ++i) {
            workers_[i]->join();
        }
        throw;
    }
    started_.wait();
}

RuntimeCore::~RuntimeCore() {
    stop();
}

void RuntimeCore::stop() {
    if (stopped_) {
        return;
    }
    Worker* const here = Worker::current();
    COIR_CHECK(here == nullptr || &here->core() != this);  // it would wait for itself
    closed_.store(true, std::memory_order_seq_cst);        // pairs with count_foreign_spawn()
    stopping_.store(true, std::memory_order_seq_cst);      // pairs with tell_stop()
    for (;;) {
        const std::uint32_t seen = finish_signal_.load(std::memory_order_acquire);
        if (all_finished()) {
            break;
        }
        finish_signal_.wait(seen, std::memory_order_acquire);
    }
    while (wakers_.load(std::memory_order_seq_cst) != 0) {
        std::this_thread::yield();  // the last few instructions of a call
    }
    stopped_ = true;
    for (const auto& worker : workers_) {
        worker->request_stop();
    }
    for (const auto& worker : workers_) {
        worker->join();
    }
}

void RuntimeCore::await_all_workers() noexcept {
    started_.arrive_and_wait();
}

bool RuntimeCore::all_finished() const noexcept {
    // All ends first, then all starts: if they are equal, they were equal in between.
    std::uint64_t finished = discarded_.load(std::memory_order_seq_cst);
    for (const auto& worker : workers_) {
        finished += worker->finished.load(std::memory_order_seq_cst);
    }
    std::uint64_t spawned = foreign_spawns_.load(std::memory_order_seq_cst);
    for (const auto& worker : workers_) {
        spawned += worker->spawned.load(std::memory_order_seq_cst);
    }
    return spawned == finished;
}

bool RuntimeCore::count_foreign_spawn() noexcept {
    // Counted first: stop() closes the door and then looks at the count.
    foreign_spawns_.fetch_add(1, std::memory_order_seq_cst);
    if (closed_.load(std::memory_order_seq_cst)) {
        discard_spawn();
        return false;
    }
    return true;
}

void RuntimeCore::discard_spawn() noexcept {
    discarded_.fetch_add(1, std::memory_order_seq_cst);
    tell_stop();
}

void RuntimeCore::fiber_finished(Worker& worker) noexcept {
    worker.finished.fetch_add(1, std::memory_order_seq_cst);
    tell_stop();
}

void RuntimeCore::tell_stop() noexcept {
    if (stopping_.load(std::memory_order_seq_cst)) {  // pairs with stop()
        finish_signal_.fetch_add(1, std::memory_order_release);
        finish_signal_.notify_all();
    }
}

void RuntimeCore::inject(boost::fibers::context& context) noexcept {
    const WakerGuard guard(*this);
    happens_before(&context);
    injected_.push(context);
    // If nobody sleeps, everybody is about to look: at the next poll, or before sleeping.
    if (const int sleeper = idle_.take_sleeper(); sleeper >= 0) {
        workers_[static_cast<std::size_t>(sleeper)]->scheduler().notify();
    }
}

StackSlabs& RuntimeCore::slabs_of(std::size_t bytes) {
    const std::lock_guard lock(odd_slabs_mutex_);
    auto& slabs = odd_slabs_[bytes];
    if (slabs == nullptr) {
        slabs = std::make_unique<StackSlabs>(bytes);
    }
    return *slabs;
}

StackRegion RuntimeCore::take_stack(Worker* worker, std::size_t bytes, std::error_code& error) {
    // As the slabs do, so that a stack finds its way back.
    const std::size_t wanted = slabs_.to_whole_pages(std::max(bytes, kLeastStackBytes));
    if (bytes != 0 && wanted != slabs_.usable_bytes()) {
        return slabs_of(wanted).take(error);
    }
    return worker != nullptr ? worker->stacks().take(error) : slabs_.take(error);
}

void RuntimeCore::give_back_stack(StackRegion region) noexcept {
    forget_stack(region.bottom(), region.usable_bytes);
    if (region.usable_bytes != slabs_.usable_bytes()) {
        slabs_of(region.usable_bytes).give_back(&region, 1);
        return;
    }
    Worker* const worker = Worker::current();
    if (worker != nullptr && &worker->core() == this) {
        worker->stacks().give_back(region);
    } else {
        slabs_.give_back(&region, 1);
    }
}

RuntimeStats RuntimeCore::stats() const noexcept {
    RuntimeStats stats;
    for (const auto& worker : workers_) {
        stats.finished += worker->finished.load(std::memory_order_relaxed);
    }
    stats.spawned = foreign_spawns_.load(std::memory_order_relaxed) -
                    discarded_.load(std::memory_order_relaxed);
    for (const auto& worker : workers_) {
        stats.spawned += worker->spawned.load(std::memory_order_relaxed);
        stats.migrations += worker->migrations.load(std::memory_order_relaxed);
        stats.polls += worker->poller().polls();
        stats.switches += worker->scheduler().runs();
        stats.steals += worker->scheduler().steals();
        stats.wakeups += worker->scheduler().wakeups();
    }
    return stats;
}

}  // namespace coir::detail

namespace coir {

Runtime::Runtime(RuntimeOptions options) {
    if (options.workers == 0) {
        options.workers = usable_cpus();
    }
    if (options.workers >= detail::PollerNumber::kMostWorkers) {
        throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                                "coir::Runtime: more than 65,534 workers");
    }
    core_ = std::make_shared<detail::RuntimeCore>(options);
}

Runtime::~Runtime() {
    stop();
}

void Runtime::stop() {
    core_->stop();
}

std::size_t Runtime::workers() const noexcept {
    return core_->worker_count();
}

RuntimeStats Runtime::stats() const noexcept {
    return core_->stats();
}

}  // namespace coir
