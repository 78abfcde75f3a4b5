#include "runtime/stack_overflow.hpp"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <span>
#include <string_view>

#include "coir/base/syscall.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

/// Handlers that were there before run on it too, and may be greedy. Above what the kernel puts there:
/// with AVX-512 or AMX that alone is more than MINSIGSTKSZ.
constexpr std::size_t kAlternateStackBytes = 64 * 1024;

/// A page below the stack pointer at most: compilers that probe a large frame do so page by page.
constexpr std::uintptr_t kProbeBytes = 4096;

// A handler may read a thread_local if its memory exists already: in a program, and in shared objects
// that are there from the start, it comes with the thread; in one that was loaded later, with the first
// access, which a worker's OverflowWatch makes. So other threads ask nothing but their own null.
thread_local const Worker* watched = nullptr;

// Under `mutex`; the handler only reads `before`, which is written while it is not installed.
std::mutex mutex;
std::size_t users = 0;
bool installed = false;
struct sigaction before;

/// Text of a bounded length, without an allocation.
class Line final {
public:
    void add(std::string_view text) noexcept {
        const std::size_t count = std::min(text.size(), sizeof text_ - 1 - size_);
        std::memcpy(text_ + size_, text.data(), count);
        size_ += count;
    }
    void add(std::uint64_t number) noexcept {
        char digits[20];
        const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
        add(std::string_view(digits, static_cast<std::size_t>(end - digits)));
    }
    /// With a newline, for which add() has left room.
    void write_to_stderr() noexcept {
        text_[size_++] = '\n';
        for (auto rest = std::as_bytes(std::span(text_, size_)); !rest.empty();) {
            const Result<std::size_t> written = syscall::write(STDERR_FILENO, rest);
            if (!written || *written == 0) {
                return;
            }
            rest = rest.subspan(*written);
        }
    }

private:
    char text_[1024];
    std::size_t size_ = 0;
};

/// 0 where it is not known how to find it.
std::uintptr_t stack_pointer(const void* context) noexcept {
    [[maybe_unused]] const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(machine.gregs[REG_RSP]);
#elif defined(__aarch64__)
    return static_cast<std::uintptr_t>(machine.sp);
#else
    return 0;
#endif
}

/// The fiber of this thread that has run into its guard, or null.
///
/// Takes no lock: what a worker runs is written by its own thread, and it and the fiber's control block
/// hold still while this thread is in a handler.
const FiberControl* overflowed(const siginfo_t& fault, std::uintptr_t stack_pointer) noexcept {
    if (watched == nullptr || fault.si_code <= 0) {  // <= 0: sent by somebody
        return nullptr;
    }
    const FiberControl& fiber = watched->running_fiber();
    const auto address = reinterpret_cast<std::uintptr_t>(fault.si_addr);
    // A wild pointer may hit the guard while the stack has room.
    if (!fiber.stack.guards(address) || address + kProbeBytes < stack_pointer) {
        return nullptr;
    }
    return &fiber;
}

void report(const FiberControl& fiber, std::uintptr_t address,
            std::uintptr_t stack_pointer) noexcept {
    const std::uintptr_t lowest = stack_pointer != 0 ? std::min(address, stack_pointer) : address;
    const auto top = reinterpret_cast<std::uintptr_t>(fiber.stack.top);
    Line line;
    line.add("coir: stack overflow in fiber ");
    line.add(fiber.name().empty() ? "(unnamed)" : fiber.name());
    line.add(", id ");
    line.add(fiber.id);
    line.add(": uses ");
    line.add(std::uint64_t{top - lowest});
    line.add(" of ");
    line.add(std::uint64_t{fiber.stack.usable_bytes});
    line.add(" bytes; spawned at ");
    line.add(fiber.site.file_name());
    line.add(":");
    line.add(std::uint64_t{fiber.site.line()});
    line.add(" ");
    line.add(fiber.site.function_name());
    line.write_to_stderr();
}

void set_default(int signal) noexcept {
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    ::sigaction(signal, &by_default, nullptr);
}

void unblock(int signal) noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

/// What would have happened without a handler.
void die(int signal, const siginfo_t& fault) noexcept {
    set_default(signal);
    if (fault.si_code <= 0) {
        ::raise(signal);  // it does not happen again by itself, as a fault does
    }
}

void hand_over(int signal, siginfo_t* fault, void* context) noexcept {
    const bool ignored = (before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_IGN;
    if (ignored && fault->si_code <= 0) {
        return;
    }
    const bool by_default = (before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_DFL;
    if (ignored || by_default) {
        die(signal, *fault);
        return;
    }
    // As the kernel would have called it. One that returns, or raises the signal again, may count on it.
    const struct sigaction handler = before;
    const auto flags = static_cast<unsigned>(handler.sa_flags);
    if ((flags & SA_RESETHAND) != 0) {
        set_default(signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &handler.sa_mask, nullptr);  // until the handler returns
    if ((flags & SA_NODEFER) != 0 && sigismember(&handler.sa_mask, signal) == 0) {
        unblock(signal);
    }
    if ((flags & SA_SIGINFO) != 0) {
        handler.sa_sigaction(signal, fault, context);
    } else {
        handler.sa_handler(signal);
    }
}

void handle(int signal, siginfo_t* fault, void* context) noexcept {
    const std::uintptr_t pointer = stack_pointer(context);
    const FiberControl* const fiber = overflowed(*fault, pointer);
    if (fiber != nullptr) {
        report(*fiber, reinterpret_cast<std::uintptr_t>(fault->si_addr), pointer);
        if (!kSanitized) {
            die(signal, *fault);
            return;
        }
    }
    hand_over(signal, fault, context);
}

bool is_ours(const struct sigaction& action) noexcept {
    return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handle;
}

}  // namespace

OverflowReports::OverflowReports() noexcept {
    const std::lock_guard lock(mutex);
    if (users++ != 0 || installed) {
        return;
    }
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGSEGV, nullptr, &before);  // known before the handler can need it
    installed = ::sigaction(SIGSEGV, &action, nullptr) == 0;
}

OverflowReports::~OverflowReports() {
    const std::lock_guard lock(mutex);
    if (--users != 0 || !installed) {
        return;
    }
    struct sigaction current;
    if (::sigaction(SIGSEGV, nullptr, &current) == 0 && is_ours(current)) {
        ::sigaction(SIGSEGV, &before, nullptr);
        installed = false;
    }
}

OverflowWatch::OverflowWatch(const Worker* worker) noexcept {
    if (worker == nullptr) {
        return;
    }
    stack_t old{};
    if (::sigaltstack(nullptr, &old) != 0) {
        return;
    }
    if ((old.ss_flags & SS_DISABLE) != 0 && !install_stack()) {
        return;
    }
    // Who blocks all signals before the first thread means those that are sent: a fault while its signal
    // is blocked ends the program without a handler.
    unblock(SIGSEGV);
    watched = worker;
}

bool OverflowWatch::install_stack() noexcept {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t usable =
        (kAlternateStackBytes + ::getauxval(AT_MINSIGSTKSZ) + page - 1) / page * page;
    void* const mapping = ::mmap(nullptr, page + usable, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED) {
        return false;
    }
    mapping_ = mapping;
    bytes_ = page + usable;
    stack_ = static_cast<std::byte*>(mapping) + page;
    stack_t ours{};
    ours.ss_sp = stack_;
    ours.ss_size = usable;
    // A handler that is too greedy dies on the page below.
    return ::mprotect(mapping, page, PROT_NONE) == 0 && ::sigaltstack(&ours, nullptr) == 0;
}

OverflowWatch::~OverflowWatch() {
    watched = nullptr;
    if (mapping_ == nullptr) {
        return;
    }
    stack_t current{};
    if (::sigaltstack(nullptr, &current) == 0 && current.ss_sp == stack_) {
        stack_t none{};
        none.ss_flags = SS_DISABLE;
        ::sigaltstack(&none, nullptr);
    }
    ::munmap(mapping_, bytes_);
}

}  // namespace coir::detail
