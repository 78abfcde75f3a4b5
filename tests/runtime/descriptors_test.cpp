// IoSource on every kind of descriptor that it names, and on one that it cannot serve.

#include "runtime/descriptors.hpp"

#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <string>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

/// A fiber waits on the descriptor before, while and after `make_ready` and `take` change what it says.
void expect_waits_end(UniqueFd fd, const std::function<void()>& make_ready,
                      const std::function<void(int)>& take, int rounds = 3) {
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        IoSource source(std::move(fd));
        for (int round = 0; round != rounds; ++round) {
            // Spurious readiness may be left over from before; the wait after it tells the truth.
            Result<void> early = source.wait_readable(Deadline::after(2ms));
            if (early) {
                early = source.wait_readable(Deadline::after(2ms));
            }
            EXPECT_EQ(early.error(), std::errc::timed_out);
            auto waiting = spawn([&] { return source.wait_readable(soon()).error(); });
            this_fiber::sleep_for(1ms);
            make_ready();
            EXPECT_EQ(waiting.join(), std::error_code());
            take(source.fd());
        }
    });
}

TEST(IoSourceOf, APipeWaits) {
    auto pipe = test::make_pipe();
    expect_waits_end(
        std::move(pipe.first), [&] { test::put(pipe.second.get(), "x"); },
        [](int fd) { EXPECT_EQ(test::get(fd), "x"); });
}

TEST(IoSourceOf, AnEventfdWaits) {
    UniqueFd fd = test::make_eventfd();
    const int number = fd.get();
    expect_waits_end(
        std::move(fd), [&] { test::signal(number); },
        [](int event) { EXPECT_EQ(test::take_signals(event), 1U); });
}

TEST(IoSourceOf, ATimerfdWaits) {
    UniqueFd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    ASSERT_TRUE(fd);
    const int number = fd.get();
    expect_waits_end(
        std::move(fd),
        [&] {
            itimerspec setting{};
            setting.it_value.tv_nsec = 1'000'000;
            ASSERT_EQ(::timerfd_settime(number, 0, &setting, nullptr), 0);
        },
        [](int timer) { EXPECT_EQ(test::take_signals(timer), 1U); });
}

TEST(IoSourceOf, ASignalfdWaits) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
    UniqueFd fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    ASSERT_TRUE(fd);
    expect_waits_end(
        std::move(fd), [] { ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0); },
        [](int signals) {
            EXPECT_EQ(test::get(signals, sizeof(signalfd_siginfo)).size(),
                      sizeof(signalfd_siginfo));
        });
}

TEST(IoSourceOf, AnInotifyDescriptorWaits) {
    std::string directory = (std::filesystem::temp_directory_path() / "coir-XXXXXX").string();
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd) {
        GTEST_SKIP() << "no inotify: " << syscall::last_error().message();
    }
    if (::inotify_add_watch(fd.get(), directory.c_str(), IN_CREATE) < 0) {
        GTEST_SKIP() << "no inotify watch: " << syscall::last_error().message();
    }
    int files = 0;
    expect_waits_end(
        std::move(fd),
        [&] {
            const std::string path = directory + '/' + std::to_string(files++);
            ASSERT_TRUE(UniqueFd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
        },
        [](int watch) { EXPECT_GE(test::get(watch, 4096).size(), sizeof(inotify_event)); });
    std::filesystem::remove_all(directory);
}

TEST(IoSourceOf, APidfdWaits) {
    auto pipe = test::make_pipe();
    const pid_t child = ::fork();
    if (child == 0) {
        pipe.second.reset();
        // Ends when the parent closes its end.
        ::fcntl(pipe.first.get(), F_SETFL, 0);
        char byte;
        ::_exit(::read(pipe.first.get(), &byte, 1) == 0 ? 0 : 1);
    }
    ASSERT_GT(child, 0);
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    const std::error_code refused = fd ? std::error_code() : syscall::last_error();
    if (fd) {
        expect_waits_end(
            std::move(fd), [&] { pipe.second.reset(); }, [](int) {}, 1);
    }
    pipe.second.reset();
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    if (refused) {
        GTEST_SKIP() << "no pidfd_open: " << refused.message();
    }
}

TEST(IoSourceOf, ARegularFileIsRefused) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        IoSource source(UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK)));
        ASSERT_TRUE(source.is_open());
        EXPECT_EQ(source.wait_readable(soon()).error(), std::errc::operation_not_permitted);
        EXPECT_EQ(source.wait_writable(soon()).error(), std::errc::operation_not_permitted);
    });
}

}  // namespace
}  // namespace coir
