#pragma once

#include <cstddef>

namespace coir::detail {

class Worker;

/// While one of these lives, a fiber that runs into the guard below its stack is named on stderr, and
/// then the program dies by SIGSEGV as it would have: with a core that shows the overflow.
///
/// The problem: the signal comes when there is no stack to handle it on. So each worker has an
/// alternate one, OverflowWatch, and the process has one handler, installed with the first OverflowReports
/// and taken away with the last. All other faults go to the handler that was there before. If
/// somebody has put his own on top meanwhile, ours stays below it and is used again.
///
/// Only SIGSEGV: the memory of stacks is anonymous, which gives no SIGBUS. AddressSanitizer and
/// ThreadSanitizer have a handler of their own, which gets the overflow as well, after our line.
///
/// Not named is an overflow in the few instructions of a switch, when the worker already says that it runs
/// the next fiber, and one on a stack that is no fiber's: the dispatcher's and the thread's.
///
/// Threads: any.
class OverflowReports final {
public:
    OverflowReports() noexcept;
    ~OverflowReports();
    OverflowReports(const OverflowReports&) = delete;
    OverflowReports& operator=(const OverflowReports&) = delete;
};

/// Gives the calling thread an alternate signal stack, unless it has one, unblocks SIGSEGV, and lets
/// overflows of the fibers of `worker` be reported there. Null: does nothing.
///
/// If the kernel gives no memory for it, an overflow is not named.
class OverflowWatch final {
public:
    explicit OverflowWatch(const Worker* worker) noexcept;
    ~OverflowWatch();
    OverflowWatch(const OverflowWatch&) = delete;
    OverflowWatch& operator=(const OverflowWatch&) = delete;

private:
    [[nodiscard]] bool install_stack() noexcept;

    void* mapping_ = nullptr;  // null: the thread has an alternate stack of its own
    std::size_t bytes_ = 0;
    void* stack_ = nullptr;  // in the mapping, above a guard
};

}  // namespace coir::detail
