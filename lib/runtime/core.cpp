#include "runtime/core.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "coir/base/assert.hpp"
#include "runtime/fiber_plate.hpp"
#include "runtime/run_clock.hpp"

namespace coir::detail {
namespace {

constexpr std::size_t kLeastStackBytes = 16 * 1024;

std::uint64_t next_runtime_number() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

RuntimeCore::RuntimeCore(const RuntimeOptions& options, StackGuards guards,
                         FirstWorker first_worker)
    : options_(options),
      number_(next_runtime_number()),
      guards_(guards),
      first_worker_(first_worker),
      slabs_(std::max(options.stack_bytes, kLeastStackBytes), options.guard_bytes, guards),
      idle_(options.workers),
      started_(static_cast<std::ptrdiff_t>(options.workers)),
      blocking_pool_(std::make_shared<BlockingPool>(
          BlockingPoolOptions{.most_threads = std::max<std::size_t>(options.blocking_threads, 1)})),
      start_time_(std::chrono::steady_clock::now()),
      start_ticks_(run_ticks()) {
    if (options.report_stack_overflow) {
        overflow_reports_.emplace();
    }
    workers_.reserve(options.workers);
    for (std::size_t i = 0; i != options.workers; ++i) {
        workers_.push_back(
            std::make_unique<Worker>(*this, i, slabs_, options.warm_stacks_per_worker));
    }
    const std::size_t first = first_worker == FirstWorker::own_thread ? 0 : 1;
    std::size_t running = first;
    try {
        for (; running != workers_.size(); ++running) {
            workers_[running]->start();
        }
    } catch (...) {
        // Those that run wait for the others: let them end without having begun.
        for (std::size_t i = first; i != running; ++i) {
            workers_[i]->abandon();
        }
        started_.count_down(static_cast<std::ptrdiff_t>(workers_.size() - (running - first)));
        for (std::size_t i = first; i != running; ++i) {
            workers_[i]->join();
        }
        throw;
    }
    if (first_worker == FirstWorker::caller) {
        workers_.front()->move_in();
        started_.count_down();
    }
    started_.wait();
}

RuntimeCore::~RuntimeCore() {
    stop();
}

void RuntimeCore::work() noexcept {
    workers_.front()->work_here();
    await_wakers();  // what they know of the thread's scheduler is about to go
    workers_.front()->leave_thread();
}

void RuntimeCore::await_wakers() const noexcept {
    while (wakers_.load(std::memory_order_seq_cst) != 0) {
        std::this_thread::yield();  // the last few instructions of a call
    }
}

void RuntimeCore::end_with_last_fiber() noexcept {
    closed_.store(true, std::memory_order_seq_cst);  // pairs with count_foreign_spawn()
    stopping_.store(
        true,
        std::memory_order_seq_cst);  // pairs with tell_stop(), which comes when the caller ends
}

void RuntimeCore::stop() {
    if (stopped_) {
        return;
    }
    close();
    (void)await_fibers(Deadline::never());
    end_workers(Deadline::never());
}

std::vector<FiberInfo> RuntimeCore::stop(Deadline deadline, std::chrono::nanoseconds grace) {
    if (stopped_) {
        return {};
    }
    close();
    if (await_fibers(deadline)) {
        end_workers(deadline);
        return {};
    }
    asks_all_.store(true,
                    std::memory_order_seq_cst);  // pairs with launch_fiber() and launch_session()
    request_stop();
    const Deadline end = Deadline::after(grace);
    Deadline next_look = end;
    while (!await_fibers(next_look)) {
        if (std::vector<FiberInfo> left = fibers(); !left.empty()) {
            return left;
        }
        // The last one is on its way out, or has been replaced by one that this did not see.
        next_look = Deadline::after(std::chrono::milliseconds(1));
    }
    end_workers(end);
    return {};
}

void RuntimeCore::close() noexcept {
    Worker* const here = Worker::current();
    COIR_CHECK(here == nullptr || &here->core() != this);  // it would wait for itself
    closed_.store(true, std::memory_order_seq_cst);        // pairs with count_foreign_spawn()
    stopping_.store(true, std::memory_order_seq_cst);      // pairs with tell_stop()
}

bool RuntimeCore::await_fibers(Deadline deadline) noexcept {
    const auto all_have_ended = [this] { return all_finished(); };
    std::unique_lock lock(finish_mutex_);
    if (deadline.is_never()) {
        finish_changed_.wait(lock, all_have_ended);
        return true;
    }
    return finish_changed_.wait_until(lock, deadline.time_point(), all_have_ended);
}

void RuntimeCore::end_workers(Deadline deadline) noexcept {
    await_wakers();
    stopped_ = true;
    blocking_pool_->stop(deadline);
    const std::size_t first = first_worker_ == FirstWorker::own_thread ? 0 : 1;
    if (first == 1 && !first_is_ending_.load(std::memory_order_acquire)) {
        workers_.front()->leave_thread();  // there was no work()
    }
    for (std::size_t i = first; i != workers_.size(); ++i) {
        workers_[i]->request_stop();
    }
    for (const auto& worker : workers_) {
        worker->join();
    }
}

template <typename F>
void RuntimeCore::for_each_fiber(F look) {
    const auto visit = [&](const StackRegion& stack) { FiberPlate::of(stack).visit(look); };
    slabs_.for_each_stack(visit);
    const std::lock_guard lock(odd_slabs_mutex_);
    for (const auto& [bytes, slabs] : odd_slabs_) {
        slabs->for_each_stack(visit);
    }
}

void RuntimeCore::request_stop() noexcept {
    // Sessions first: the fiber of a turn that has begun before is found after that, and a turn that begins later
    // sees the request.
    SessionControl* session = nullptr;
    for (const auto& worker : workers_) {
        worker->sessions().request_stop(session);
    }
    FiberControl* claimed = nullptr;
    for_each_fiber([&](FiberControl& fiber) {
        if (fiber.stop.claim()) {
            fiber.stop.pin();
            fiber.stop.next_to_stop = std::exchange(claimed, &fiber);
        }
    });
    while (session != nullptr) {
        SessionControl& woken = *std::exchange(session, session->next);
        wake(woken, WakeReason::canceled);
    }
    request_stop_of_all(claimed);  // last: it runs callbacks
}

std::vector<FiberInfo> RuntimeCore::fibers() {
    std::vector<FiberInfo> found;
    std::vector<const SessionControl*> carried;  // only compared: they may end
    for_each_fiber([&](FiberControl& fiber) {
        if (fiber.is_carrier) {
            const auto* const session = fiber.carries.load(std::memory_order_relaxed);
            if (session == nullptr) {
                return;  // it carries nobody
            }
            carried.push_back(session);
        }
        FiberInfo& info = found.emplace_back();
        info.id = fiber.id;
        info.name = fiber.name();
        info.worker = fiber.last_worker.load(std::memory_order_relaxed);
        info.site = fiber.site;
        info.stop_requested = fiber.stop.is_requested();
        info.stack_bytes = fiber.stack.usable_bytes;
        if (const char* const what = fiber.waits_for.load(std::memory_order_relaxed)) {
            info.state = FiberInfo::State::waiting;
            info.waits_for = what;
            info.fd = fiber.waits_on_fd.load(std::memory_order_relaxed);
            return;  // also if a worker waits in its place
        }
        for (const auto& worker : workers_) {
            if (worker->scheduler().running_context() == fiber.context()) {
                info.state = FiberInfo::State::running;
                info.worker = static_cast<int>(worker->index());
            }
        }
    });
    std::ranges::sort(carried);
    for (const auto& worker : workers_) {
        worker->sessions().for_each([&](const SessionControl& session) {
            if (std::ranges::binary_search(carried, &session)) {
                return;  // in a turn: its fiber stands for it
            }
            FiberInfo& info = found.emplace_back();
            info.id = session.id;
            info.name = session.options.name;
            info.site = session.options.site;
            info.stop_requested = session.stop_requested.load(std::memory_order_relaxed);
            if (session.waits()) {
                info.state = FiberInfo::State::waiting;
                info.waits_for = "bytes to read";
                info.fd = session.fd.load(std::memory_order_relaxed);
            }
        });
    }
    return found;
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
    return !closed_.load(std::memory_order_seq_cst);
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
    if (stopping_.load(std::memory_order_seq_cst)) {  // pairs with close()
        {
            const std::lock_guard lock(finish_mutex_);
            finish_changed_.notify_all();
        }
        // Several may see that they were the last.
        if (first_worker_ == FirstWorker::caller && all_finished() &&
            !first_is_ending_.exchange(true, std::memory_order_acq_rel)) {
            workers_.front()->request_stop();
        }
    }
}

void RuntimeCore::inject(boost::fibers::context& context) noexcept {
    inject_ready(context);
}

void RuntimeCore::inject(SessionControl& session) noexcept {
    inject_ready(session);
}

template <typename Ready>
void RuntimeCore::inject_ready(Ready& ready) noexcept {
    const WakerGuard guard(*this);
    happens_before(&ready);
    injected_.push(ready);
    if (workers_.size() == 1) {
        workers_.front()->scheduler().notify();
        return;
    }
    // If nobody sleeps, everybody is about to look: at the next poll, or before sleeping.
    if (const int sleeper = idle_.take_sleeper(); sleeper >= 0) {
        workers_[static_cast<std::size_t>(sleeper)]->scheduler().notify();
    }
}

StackSlabs& RuntimeCore::slabs_of(std::size_t bytes) {
    const std::lock_guard lock(odd_slabs_mutex_);
    auto slabs = odd_slabs_.find(bytes);
    if (slabs == odd_slabs_.end()) {
        // Made first: an entry without slabs would trip up whoever walks all of them.
        auto made = std::make_unique<StackSlabs>(bytes, options_.guard_bytes, guards_);
        slabs = odd_slabs_.emplace(bytes, std::move(made)).first;
    }
    return *slabs->second;
}

std::size_t RuntimeCore::usable_stack_bytes(std::size_t bytes) const noexcept {
    // As the slabs do, so that a stack finds its way back.
    return bytes == 0 ? slabs_.usable_bytes()
                      : slabs_.to_whole_pages(std::max(bytes, kLeastStackBytes));
}

StackRegion RuntimeCore::take_stack(Worker* worker, std::size_t bytes, std::error_code& error) {
    const std::size_t wanted = usable_stack_bytes(bytes);
    if (wanted != slabs_.usable_bytes()) {
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

RuntimeStats RuntimeCore::stats() noexcept {
    RuntimeStats stats;
    std::uint64_t wakes = foreign_wakes_.load(std::memory_order_relaxed);
    std::uint64_t longest_run = 0;
    // Ends and refusals first, then starts, as in all_finished(): or alive() could fall below zero.
    for (const auto& worker : workers_) {
        stats.finished += worker->finished.load(std::memory_order_acquire);
    }
    const std::uint64_t discarded = discarded_.load(std::memory_order_acquire);
    stats.spawned = foreign_spawns_.load(std::memory_order_relaxed) - discarded;
    for (const auto& worker : workers_) {
        stats.spawned += worker->spawned.load(std::memory_order_relaxed);
        stats.migrations += worker->migrations.load(std::memory_order_relaxed);
        stats.polls += worker->poller().polls();
        stats.switches += worker->scheduler().runs();
        stats.steals += worker->scheduler().steals();
        stats.wakeups += worker->scheduler().wakeups();
        stats.ready += worker->scheduler().queued();
        wakes += worker->wakes.load(std::memory_order_relaxed);
        longest_run = std::max(longest_run, worker->scheduler().longest_run());
    }
    for (const auto& worker : workers_) {
        stats.waiting += worker->waits.load(std::memory_order_relaxed);
    }
    stats.waiting -=
        std::min(stats.waiting, wakes);  // those that came later than the look at the others
    stats.ready += injected_.size();
    stats.stack_bytes = slabs_.mapped_bytes();
    {
        const std::lock_guard lock(odd_slabs_mutex_);
        for (const auto& [bytes, slabs] : odd_slabs_) {
            stats.stack_bytes += slabs->mapped_bytes();
        }
    }
    stats.blocking_threads = blocking_pool_->threads();
    stats.blocking_queued = blocking_pool_->queued();
    stats.longest_run = to_time(longest_run);
    return stats;
}

std::chrono::nanoseconds RuntimeCore::to_time(std::uint64_t ticks) const noexcept {
    const auto time = std::chrono::steady_clock::now() - start_time_;
    const auto passed = static_cast<double>(run_ticks() - start_ticks_);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        time * (static_cast<double>(ticks) / std::max(passed, 1.0)));
}

}  // namespace coir::detail

namespace coir {

namespace {

// Where coir::run() is called.
void expect_plain_thread() {
    using boost::fibers::context;
    if (detail::Worker::current() != nullptr ||
        !context::active()->is_context(boost::fibers::type::main_context)) {
        throw std::system_error(std::make_error_code(std::errc::operation_not_permitted),
                                "coir::run: on a fiber");
    }
}

RuntimeOptions completed(RuntimeOptions options) {
    if (options.workers == 0) {
        options.workers = usable_cpus();
    }
    if (options.workers >= detail::PollerNumber::kMostWorkers) {
        throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                                "coir::Runtime: more than 65,534 workers");
    }
    if (const char* const forced = std::getenv("COIR_FORCE_MIGRATION");
        forced != nullptr && std::string_view(forced) == "1") {
        options.force_migration = true;
    }
    return options;
}

}  // namespace

Runtime::Runtime(RuntimeOptions options)
    : core_(std::make_shared<detail::RuntimeCore>(completed(options))) {}

Runtime::Runtime(RuntimeOptions options, FromCaller) {
    expect_plain_thread();
    core_ = std::make_shared<detail::RuntimeCore>(completed(options), detail::StackGuards::lightest,
                                                  detail::FirstWorker::caller);
}

void Runtime::work() noexcept {
    core_->work();
}

void Runtime::end_with_last_fiber() noexcept {
    core_->end_with_last_fiber();
}

Runtime::~Runtime() {
    core_->stop();
}

void Runtime::stop() {
    COIR_CHECK(core_->first_worker() == detail::FirstWorker::own_thread);
    core_->stop();
}

std::vector<FiberInfo> Runtime::stop(Deadline deadline, std::chrono::nanoseconds grace) {
    COIR_CHECK(core_->first_worker() == detail::FirstWorker::own_thread);
    return core_->stop(deadline, grace);
}

void Runtime::request_stop() noexcept {
    core_->request_stop();
}

std::vector<FiberInfo> Runtime::fibers() const {
    return core_->fibers();
}

std::size_t Runtime::workers() const noexcept {
    return core_->worker_count();
}

RuntimeStats Runtime::stats() const noexcept {
    return core_->stats();
}

}  // namespace coir
