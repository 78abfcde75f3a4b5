#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <set>
#include <system_error>
#include <thread>

#include "coir/base/opaque.hpp"
#include "coir/base/syscall.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/worker.hpp"
#include "support/patience.hpp"

// The compiler takes the address of a thread_local, errno among them, to be the same for the whole of a
// function. Each of these reads it before and after a migration, in one function, where the optimiser of
// the release sees all of the program.
namespace coir {
namespace {

using namespace std::chrono_literals;

/// Returns on the other one of two workers. Inlined, so that what calls it suspends in one function.
[[gnu::always_inline]] inline void migrate() {
    const int before = this_worker::index();
    const Deadline deadline = test::soon();
    do {
        // Whoever ends a joined fiber takes the joining one over.
        spawn({.worker = 1 - this_worker::index(), .pinned = true}, [] {
            this_fiber::sleep_for(20us);
        }).join();
        ASSERT_FALSE(deadline.has_passed(Deadline::Clock::now()));
    } while (this_worker::index() == before);
}

template <typename F>
void on_two_workers(F body) {
    Runtime runtime({.workers = 2});
    runtime.spawn({.worker = 0}, body).join();
}

constexpr int kMoves = 50;

TEST(ThreadBound, TheRuntimesOwnAccessorsSayTheTruthAfterEachMove) {
    // x86-64 reads a thread_local by one instruction with the thread in a register, so this one can only
    // fail where the compiler computes the address first: on other machines, and in shared objects.
    on_two_workers([] {
        const std::uint64_t id = this_fiber::id();
        for (int i = 0; i != kMoves; ++i) {
            const detail::Worker* const before = detail::Worker::current();
            migrate();
            const detail::Worker* const after = detail::Worker::current();
            ASSERT_NE(before, after);
            ASSERT_EQ(static_cast<int>(after->index()), this_worker::index());
            ASSERT_EQ(after->running_fiber().id, id);
            ASSERT_EQ(this_fiber::id(), id);
        }
    });
}

TEST(ThreadBound, SystemCallsGiveTheErrorOfTheThreadOnWhichTheyWereMade) {
    on_two_workers([] {
        for (int i = 0; i != kMoves; ++i) {
            std::byte byte{};
            const auto first = syscall::read(-1, {&byte, 1});
            migrate();
            const auto second = syscall::shutdown(0x7fffffff, 0);
            ASSERT_EQ(first.error(), std::errc::bad_file_descriptor);
            ASSERT_EQ(second.error(), std::errc::bad_file_descriptor);
            const auto third = syscall::socket(-1, 0, 0);
            migrate();
            ASSERT_EQ(third.error(), std::errc::address_family_not_supported);
            ASSERT_EQ(syscall::read(-1, {&byte, 1}).error(), std::errc::bad_file_descriptor);
        }
    });
}

thread_local int of_this_thread = -1;
thread_local const auto with_a_constructor = std::make_unique<int>(-1);

/// How a user's accessors are to be written.
COIR_OPAQUE int get() noexcept {
    return of_this_thread;
}
COIR_OPAQUE void set(int value) noexcept {
    of_this_thread = value;
}
COIR_OPAQUE const void* place() noexcept {
    return &of_this_thread;
}
COIR_OPAQUE int& constructed() noexcept {
    return *with_a_constructor;
}
COIR_OPAQUE int get_errno() noexcept {
    return errno;
}
COIR_OPAQUE void set_errno(int value) noexcept {
    errno = value;
}
COIR_OPAQUE std::thread::id thread() noexcept {
    return std::this_thread::get_id();
}

TEST(ThreadBound, AnOpaqueAccessorReadsAndWritesTheThreadThatRunsTheFiber) {
    // The place() fails at -O2 and above if COIR_OPAQUE is empty; so do the next two tests.
    on_two_workers([] {
        set(this_worker::index());
        constructed() = this_worker::index();
        migrate();
        set(this_worker::index());
        constructed() = this_worker::index();
        for (int i = 0; i != kMoves; ++i) {
            ASSERT_EQ(get(), this_worker::index());
            ASSERT_EQ(constructed(), this_worker::index());
            const void* const before = place();
            migrate();
            ASSERT_NE(place(), before);
            ASSERT_EQ(get(), this_worker::index());
            ASSERT_EQ(constructed(), this_worker::index());
        }
    });
}

TEST(ThreadBound, AnOpaqueAccessorFindsTheErrnoOfTheThreadThatRunsTheFiber) {
    on_two_workers([] {
        for (int i = 0; i != kMoves; ++i) {
            set_errno(1000 + i);
            migrate();
            set_errno(2000 + i);
            ASSERT_EQ(get_errno(), 2000 + i);
            (void)syscall::read(-1, {});
            ASSERT_EQ(get_errno(), EBADF);  // in the errno that the call has set
        }
    });
}

TEST(ThreadBound, AnOpaqueAccessorFindsTheThread) {
    // The C library promises the compiler that pthread_self() never changes.
    on_two_workers([] {
        std::set<std::thread::id> threads;
        for (int i = 0; i != kMoves; ++i) {
            const std::thread::id before = thread();
            migrate();
            ASSERT_NE(thread(), before);
            threads.insert(before);
        }
        EXPECT_EQ(threads.size(), 2U);
    });
}

}  // namespace
}  // namespace coir
