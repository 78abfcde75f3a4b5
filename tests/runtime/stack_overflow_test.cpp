#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "coir/base/opaque.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/sanitized.hpp"

// Without the handler each of these programs dies as well, but says nothing. A sanitizer gets the
// signal after our line, if it has a stack to be called on: it prints its own report and exits.
namespace coir {
namespace {

bool died(int status) {
    const bool sanitized = test::kAddressSanitizer || test::kThreadSanitizer;
    if (sanitized && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        return true;
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

class StackOverflowDeathTest : public testing::Test {
protected:
    StackOverflowDeathTest() {
        GTEST_FLAG_SET(death_test_style, "threadsafe");
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
    }
};

/// Ends only with the stack. The frame is used after the call, so that it is no loop.
__attribute__((noinline)) int descend(int depth) {
    volatile char frame[256];
    frame[static_cast<std::size_t>(depth) % sizeof frame] = 1;
    return (depth < 0 ? 0 : descend(depth + 1)) + frame[0];
}

template <typename F>
void run(SpawnOptions options, F body) {
    Runtime runtime({.workers = 2});
    runtime.spawn(options, body).join();
}

TEST_F(StackOverflowDeathTest, NamesTheFiberItsStackAndWhereItWasSpawned) {
    EXPECT_EXIT(
        run({.name = "deep thought"}, [] { descend(1); }), died,
        "coir: stack overflow in fiber deep thought, id [0-9]+: uses 13[0-9]{4} of 131072 bytes; "
        "spawned at .*stack_overflow_test.cpp:[0-9]+ .*run");
}

TEST_F(StackOverflowDeathTest, SaysThatAFiberHasNoName) {
    EXPECT_EXIT(run({}, [] { descend(1); }), died, "in fiber \\(unnamed\\), id [1-9]");
}

TEST_F(StackOverflowDeathTest, KnowsTheSizeOfAStackThatIsNotTheUsualOne) {
    EXPECT_EXIT(run({.name = "small", .stack_bytes = 32 * 1024}, [] { descend(1); }), died,
                "in fiber small, id [0-9]+: uses 3[0-9]{4} of 32768 bytes");
    EXPECT_EXIT(run({.name = "large", .stack_bytes = 1024 * 1024}, [] { descend(1); }), died,
                "in fiber large, id [0-9]+: uses 104[0-9]{4} of 1048576 bytes");
}

TEST_F(StackOverflowDeathTest, IsSeenOnWhicheverWorkerTheFiberRuns) {
    const auto moves_and_overflows = [] {
        const int before = this_worker::index();
        while (this_worker::index() == before) {
            spawn({.worker = 1 - this_worker::index(), .pinned = true}, [] {
                this_fiber::sleep_for(std::chrono::microseconds(20));
            }).join();
        }
        descend(1);
    };
    EXPECT_EXIT(run({.name = "traveller", .worker = 0}, moves_and_overflows), died,
                "in fiber traveller");
}

struct OverflowsAtTheEnd {
    ~OverflowsAtTheEnd() { descend(1); }
};

TEST_F(StackOverflowDeathTest, IsNamedWhereNoExceptionMayLeave) {
    EXPECT_EXIT(run({.name = "noexcept"}, []() noexcept { descend(1); }), died,
                "in fiber noexcept");
    EXPECT_EXIT(run({.name = "destructor"},
                    [] {
                        try {
                            const OverflowsAtTheEnd at_the_end;
                            throw 1;
                        } catch (int) {
                        }
                    }),
                died, "in fiber destructor");
}

COIR_OPAQUE char touch_a_large_frame(std::size_t at) {
    volatile char frame[160 * 1024];
    frame[at] = 1;
    return frame[at];
}

TEST_F(StackOverflowDeathTest, IsSeenWhenOneFrameIsLargerThanTheStack) {
    // With a guard of one page this write is far below it: in another fiber's stack.
    EXPECT_EXIT(run({.name = "wide"}, [] { touch_a_large_frame(0); }), died, "in fiber wide");
}

/// Not null, which UndefinedBehaviorSanitizer checks beforehand.
char* const kNowhere = reinterpret_cast<char*>(64);

COIR_OPAQUE __attribute__((no_sanitize("undefined"))) void write_to(volatile char* address) {
    *address = 1;
}

TEST_F(StackOverflowDeathTest, OtherFaultsAreNotCalledOverflows) {
    const auto no_overflow = testing::Not(testing::HasSubstr("coir: stack overflow"));
    EXPECT_EXIT(run({.name = "nowhere"}, [] { write_to(kNowhere); }), died, no_overflow);
    // Into the guard, while the stack has room.
    EXPECT_EXIT(run({.name = "wild"},
                    [] {
                        const char here = 0;
                        write_to(reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(&here) -
                                                         128 * 1024));
                    }),
                died, no_overflow);
    EXPECT_EXIT(run({.name = "raises"}, [] { (void)::raise(SIGSEGV); }), died, no_overflow);
}

TEST_F(StackOverflowDeathTest, AFaultOnAPlainThreadIsNotCalledAnOverflow) {
    EXPECT_EXIT(
        {
            const Runtime runtime({.workers = 1});
            std::thread([] { write_to(nullptr); }).join();
        },
        died, testing::Not(testing::HasSubstr("coir: stack overflow")));
}

// Programs block all signals before the first thread, to wait for them on one. With its signal blocked a
// fault ended the program before any handler.
TEST_F(StackOverflowDeathTest, IsNamedWhereAllSignalsAreBlocked) {
    EXPECT_EXIT(
        {
            sigset_t all;
            sigfillset(&all);
            ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
            run({.name = "quiet"}, [] { descend(1); });
        },
        died, "in fiber quiet");
}

TEST_F(StackOverflowDeathTest, IsNotReportedByARuntimeThatWasToldSo) {
    const auto nothing_said = testing::Not(testing::HasSubstr("coir: stack overflow"));
    EXPECT_EXIT(
        {
            Runtime runtime({.workers = 1, .report_stack_overflow = false});
            runtime.run([] { descend(1); });
        },
        died, nothing_said);
    EXPECT_EXIT(
        {
            const Runtime other({.workers = 1});  // whose handler serves the whole process
            Runtime runtime({.workers = 1, .report_stack_overflow = false});
            runtime.run([] { descend(1); });
        },
        died, nothing_said);
}

void say(const char* text) {
    (void)!::write(STDERR_FILENO, text, std::strlen(text));
}

void say_and_exit(int) {
    say("the program's own handler\n");
    ::_exit(7);
}

void say_address_and_exit(int, siginfo_t* info, void*) {
    say(info->si_addr == kNowhere ? "nowhere\n" : "elsewhere\n");
    ::_exit(8);
}

void install(void (*handler)(int), unsigned flags = 0) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = static_cast<int>(flags);
    ::sigaction(SIGSEGV, &action, nullptr);
}

TEST_F(StackOverflowDeathTest, AHandlerThatWasThereBeforeGetsTheOtherFaults) {
    EXPECT_EXIT(
        {
            install(say_and_exit);
            run({}, [] { write_to(kNowhere); });
        },
        testing::ExitedWithCode(7), "the program's own handler");
    EXPECT_EXIT(
        {
            struct sigaction action {};
            action.sa_sigaction = say_address_and_exit;
            action.sa_flags = SA_SIGINFO;
            ::sigaction(SIGSEGV, &action, nullptr);
            run({}, [] { write_to(kNowhere); });
        },
        testing::ExitedWithCode(8), "nowhere");
    EXPECT_EXIT(
        {
            install(say_and_exit);
            const Runtime runtime({.workers = 1});
            write_to(kNowhere);  // not on a worker's thread
        },
        testing::ExitedWithCode(7), "the program's own handler");
}

void say_once(int) {
    static bool said = false;
    if (std::exchange(said, true)) {
        say("twice\n");
        ::_exit(9);
    }
    say("once\n");
}

void say_and_raise(int signal) {
    say("raises\n");
    (void)::raise(signal);
    ::_exit(9);
}

// The usual crash reporters: they count on the default action when they return or raise the signal again,
// and went round for ever.
TEST_F(StackOverflowDeathTest, AHandlerForOneTimeThatWasThereBeforeIsCalledOnce) {
    EXPECT_EXIT(
        {
            install(say_once, SA_RESETHAND);
            run({}, [] { write_to(nullptr); });
        },
        testing::KilledBySignal(SIGSEGV), "once");
    EXPECT_EXIT(
        {
            install(say_and_raise, SA_RESETHAND | SA_NODEFER);
            run({}, [] { write_to(nullptr); });
        },
        testing::KilledBySignal(SIGSEGV), "raises");
}

TEST_F(StackOverflowDeathTest, AFaultThatWasIgnoredKillsAndASentSignalDoesNot) {
    EXPECT_EXIT(
        {
            install(SIG_IGN);
            run({}, [] {
                (void)::raise(SIGSEGV);
                say("still here\n");
                write_to(kNowhere);
            });
        },
        testing::KilledBySignal(SIGSEGV), "still here");
}

struct sigaction below;

void pass_on(int signal, siginfo_t* info, void* context) {
    say("above\n");
    below.sa_sigaction(signal, info, context);
}

TEST_F(StackOverflowDeathTest, IsReportedThroughAHandlerThatWasInstalledLater) {
    EXPECT_EXIT(
        {
            {
                const Runtime first({.workers = 1});
                struct sigaction action {};
                action.sa_sigaction = pass_on;
                action.sa_flags = SA_SIGINFO | SA_ONSTACK;
                ::sigaction(SIGSEGV, &action, &below);
            }
            run({.name = "second"}, [] { descend(1); });
        },
        died, "above\ncoir: stack overflow in fiber second");
}

/// Of the calling thread; 0 if it has none.
std::size_t alternate_stack_bytes() {
    stack_t stack{};
    ::sigaltstack(nullptr, &stack);
    return (stack.ss_flags & SS_DISABLE) != 0 ? 0 : stack.ss_size;
}

TEST(StackOverflow, OnlyWorkersThatReportHaveAnAlternateStack) {
    if (alternate_stack_bytes() != 0) {
        GTEST_SKIP() << "the sanitizer gives every thread one";
    }
    Runtime runtime({.workers = 1});
    EXPECT_GE(runtime.run(alternate_stack_bytes), 64U * 1024);
    Runtime silent({.workers = 1, .report_stack_overflow = false});
    EXPECT_EQ(silent.run(alternate_stack_bytes), 0U);
    EXPECT_EQ(alternate_stack_bytes(), 0U);
}

std::size_t address_space_pages() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages;
}

TEST(StackOverflow, TheAlternateStacksGoWithTheirWorkers) {
    if (test::kAddressSanitizer || test::kThreadSanitizer) {
        GTEST_SKIP() << "the sanitizer's own memory grows";
    }
    constexpr std::size_t kRounds = 50;
    constexpr std::size_t kWorkers = 4;
    const auto go_round = [] { const Runtime runtime({.workers = kWorkers}); };
    for (std::size_t i = 0; i != 10; ++i) {
        go_round();  // what the C library keeps for the next threads
    }
    const std::size_t before = address_space_pages();
    for (std::size_t i = 0; i != kRounds; ++i) {
        go_round();
    }
    // Each would leave 17 pages.
    EXPECT_LT(address_space_pages(), before + kRounds * kWorkers);
}

TEST(StackOverflow, TheHandlerGoesWithTheLastRuntime) {
    const auto handler = [] {
        struct sigaction action {};
        ::sigaction(SIGSEGV, nullptr, &action);
        return action.sa_handler;
    };
    const auto before = handler();
    {
        const Runtime one({.workers = 1});
        EXPECT_NE(handler(), before);
        { const Runtime other({.workers = 1}); }
        EXPECT_NE(handler(), before);
    }
    EXPECT_EQ(handler(), before);
    const Runtime silent({.workers = 1, .report_stack_overflow = false});
    EXPECT_EQ(handler(), before);
}

}  // namespace
}  // namespace coir
