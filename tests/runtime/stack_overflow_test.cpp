#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "coir/base/opaque.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/sanitized.hpp"

// Without the handler each of these programs dies as well, but says nothing. A sanitizer gets the
// signal after our line: it prints its own report and exits.
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

COIR_OPAQUE void write_to(volatile char* address) {
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

TEST_F(StackOverflowDeathTest, IsNotReportedByARuntimeThatWasToldSo) {
    EXPECT_EXIT(
        {
            Runtime runtime({.workers = 1, .report_stack_overflow = false});
            runtime.run([] { descend(1); });
        },
        died, testing::Not(testing::HasSubstr("coir: stack overflow")));
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

void install(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
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
    if (test::kAddressSanitizer || test::kThreadSanitizer) {
        GTEST_SKIP() << "the sanitizer hands out its own wrapper as the handler before";
    }
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
        testing::KilledBySignal(SIGSEGV), "above\ncoir: stack overflow in fiber second");
}

TEST(StackOverflow, TheHandlerAndTheAlternateStacksGoWithTheLastRuntime) {
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
