#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "coir/runtime/fiber_info.hpp"
#include "coir/runtime/spawn.hpp"

namespace coir {

namespace detail {
class RuntimeCore;
}

/// The number of processors this process may use: its affinity mask, cut by the cgroup's CPU quota
/// (rounded up), at least 1. Reads files under /proc and /sys; call it at start-up.
[[nodiscard]] std::size_t usable_cpus() noexcept;

struct RuntimeOptions {
    /// Worker threads; 0 means usable_cpus().
    std::size_t workers = 0;
    /// Stack of a fiber that does not ask for another, in bytes. Address space, not memory: only
    /// touched pages count. 128 KiB leaves room for printf and regular expressions; 16 KiB is the least.
    std::size_t stack_bytes = 128 * 1024;
    /// Memory below each stack that may not be touched, in bytes; a page at least. A function whose frame
    /// is larger can jump over it, into another stack, unless it was compiled with
    /// -fstack-clash-protection. Address space only. 64 KiB is what that option expects on AArch64.
    std::size_t guard_bytes = 64 * 1024;
    /// A fiber that overflows its stack is named on stderr before it ends the program by SIGSEGV. Not for
    /// programs that replace the handler of that signal; one that was there before gets all other faults.
    bool report_stack_overflow = true;
    /// Stacks that a worker keeps warm for reuse, at most; the pages of the others go back to the kernel. A
    /// worker that has nothing to do keeps but four of those that it has not needed for a second or two.
    std::size_t warm_stacks_per_worker = 256;
    /// The most threads that run the calls of blocking(), files and names, at least 1. They start when
    /// they are needed, and end after 10 s without work. Half of them at most look up names.
    std::size_t blocking_threads = 64;
    /// Each worker stays on one of the processors that the process may use, the first worker on the first.
    /// Pays where nothing else runs on the machine; two programs that do so get in each other's way.
    bool pin_workers = false;
    /// Idle workers take fibers that are ready, and look at descriptors, of busy ones. Off, a fiber waits
    /// for its own worker however long that is busy, unless a fiber on another one wakes it. Pays off only
    /// where the work is even; it is here so that what taking work gains can be measured. Together with
    /// force_migration nobody comes for the fibers of a worker that hangs.
    bool steal = true;
    /// For tests: every time a fiber goes on, it does so on another worker than before, unless it is pinned
    /// or the other workers hang. Makes what depends on the thread fail each time. The environment
    /// variable COIR_FORCE_MIGRATION=1 says the same for all runtimes.
    bool force_migration = false;
};

/// Counters of one runtime, added up over its workers. They grow from its start.
struct RuntimeStats {
    std::uint64_t spawned = 0;   ///< Fibers and sessions started.
    std::uint64_t finished = 0;  ///< Those that have ended.
    std::uint64_t switches = 0;  ///< Resumptions of a fiber, and turns of a session.
    std::uint64_t polls = 0;     ///< epoll_wait calls.
    std::uint64_t steals = 0;  ///< Fibers and sessions taken from another worker's queue or poller.
    std::uint64_t wakeups = 0;     ///< Eventfd writes to a sleeping worker.
    std::uint64_t migrations = 0;  ///< Descriptors moved to another worker's poller.

    // What is true now.
    std::uint64_t waiting = 0;      ///< Fibers and sessions that wait for something.
    std::uint64_t ready = 0;        ///< Those in run queues, but for pinned ones.
    std::uint64_t stack_bytes = 0;  ///< Address space of the stacks, used or kept for reuse.

    std::uint64_t blocking_threads = 0;  ///< Threads for the calls of blocking().
    std::uint64_t blocking_queued = 0;   ///< Such calls that no thread has begun.

    /// The longest time that a fiber has run without letting others run. It may be too long by a tick of the kernel's
    /// coarse clock (1 to 10 ms), and up to three runs late: short runs are timed by fours.
    std::chrono::nanoseconds longest_run{0};

    [[nodiscard]] std::uint64_t alive() const noexcept { return spawned - finished; }
};

/// A whole program of fibers: runs `main` as the first one of a runtime, and returns its value, or rethrows its exception,
/// when it and every other fiber and session has ended.
///
///     int main() {
///         return coir::run({}, [] { ...; return 0; });
///     }
///
/// The calling thread is the first worker meanwhile. So with one worker the program has one thread, until it calls
/// blocking().
/// `main` is called with the Runtime& if it takes one. Other threads may use that as long as some fiber is alive that waits for
/// them; they can spawn until `main` has ended. It stops by itself: stop() is not for it.
/// On a fiber, std::exit() ends in a crash, for it destroys what Boost keeps of the thread: return, or std::_Exit().
/// Errors:  as those of Runtime and of spawn(); operation_not_permitted on a fiber.
/// Threads: a plain thread. Its name, affinity and signal stack are as before at the end; SIGSEGV is unblocked, and fibers of
///          Boost's own are scheduled by Boost's round_robin from then on.
template <typename F>
auto run(RuntimeOptions options, F&& main,
         std::source_location site = std::source_location::current());

/// N worker threads that run fibers: each with its own run queue, epoll and timers; idle ones take
/// work from busy ones.
///
/// The workers start in the constructor. Several runtimes can live in one process, one after the
/// other or side by side.
class Runtime final {
public:
    /// Errors: std::system_error where the kernel refuses a thread or a descriptor, and
    ///         invalid_argument for more than 65,534 workers.
    explicit Runtime(RuntimeOptions options = {});
    /// stop(), unless that has happened.
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    /// Runs `main` as a fiber and waits for it; returns its value or rethrows its exception.
    /// Other fibers may still be running then: stop() waits for them.
    /// Threads: a plain thread, which blocks, or a fiber of any runtime, which suspends.
    template <typename F>
    auto run(F&& main) {
        return spawn(std::forward<F>(main)).join();
    }

    /// Starts `function` as a fiber of this runtime; see coir::spawn(). Threads: any.
    /// Errors: std::system_error(Errc::runtime_stopped) once stop() has begun.
    template <typename F>
    auto spawn(F&& function, std::source_location site = std::source_location::current()) {
        return detail::spawn_on(core_.get(), SpawnOptions{}, std::forward<F>(function), site);
    }
    template <typename F>
    auto spawn(SpawnOptions options, F&& function,
               std::source_location site = std::source_location::current()) {
        return detail::spawn_on(core_.get(), options, std::forward<F>(function), site);
    }

    /// Refuses fibers from outside, waits until every fiber and every session has ended, then ends the workers. Fibers
    /// may spawn others until the last one has ended. Waits also for lookups of names that fibers have
    /// left behind at their deadline.
    /// Threads: a plain thread; not a fiber of this runtime.
    void stop();
    /// The same with limits: at `deadline` the fibers that are left are asked to stop, and so is what they
    /// spawn from then on without a Shield; `grace` after that this returns the ones that have not ended:
    /// the runtime goes on with them then, and stop() can be called again. Nobody is left over when it
    /// returns an empty list: the workers have ended. A lookup that a fiber has left behind and that still
    /// hangs then goes on alone on its thread, and touches nothing of the runtime.
    /// Threads: as stop().
    [[nodiscard]] std::vector<FiberInfo> stop(Deadline deadline, std::chrono::nanoseconds grace);

    /// Asks every fiber and every session to stop that is alive now. Threads: any.
    void request_stop() noexcept;
    /// All fibers and sessions that are alive (of a session in a turn, its fiber), in no order; each as it was at some
    /// moment of this call.
    /// Threads: any. Cost: a look at every stack; fibers that end at that moment wait, and so do
    /// workers that start or end a session.
    [[nodiscard]] std::vector<FiberInfo> fibers() const;

    [[nodiscard]] std::size_t workers() const noexcept;
    /// A snapshot; each counter is exact once all fibers have ended. Threads: any.
    [[nodiscard]] RuntimeStats stats() const noexcept;

private:
    friend class Scope;
    template <typename F>
    friend auto run(RuntimeOptions options, F&& main, std::source_location site);

    struct FromCaller {};
    Runtime(RuntimeOptions options, FromCaller);
    void work() noexcept;
    void end_with_last_fiber() noexcept;

    std::shared_ptr<detail::RuntimeCore> core_;
};

template <typename F>
auto run(RuntimeOptions options, F&& main, std::source_location site) {
    Runtime runtime(options, Runtime::FromCaller{});
    auto outcome = runtime.spawn(
        {.name = "main"},
        [&runtime, &main] {
            struct End {
                Runtime& runtime;
                ~End() { runtime.end_with_last_fiber(); }
            } const end{runtime};
            if constexpr (std::is_invocable_v<F&, Runtime&>) {
                return std::invoke(main, runtime);
            } else {
                return std::invoke(main);
            }
        },
        site);
    runtime.work();
    return outcome.join();
}

}  // namespace coir
