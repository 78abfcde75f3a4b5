#include "coir/runtime/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/blocking.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/gate.hpp"
#include "support/patience.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using test::soon;

constexpr OpenOptions kNew{.write = true, .create = true, .exclusive = true};

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string read_at(const File& file, std::uint64_t offset, std::size_t size) {
    std::string text(size, '\0');
    text.resize(file.read_some_at(offset, std::as_writable_bytes(std::span(text)), soon()).value());
    return text;
}

/// Every case runs on a plain thread and on a fiber, in a directory of its own.
class FileOn : public testing::TestWithParam<bool> {
protected:
    FileOn() {
        std::string pattern = (std::filesystem::temp_directory_path() / "coir-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) {
            throw std::system_error(syscall::last_error(), pattern);
        }
        directory_ = pattern;
    }
    ~FileOn() override { std::filesystem::remove_all(directory_); }

    [[nodiscard]] std::string path(const std::string& name) const {
        return (directory_ / name).string();
    }
    static void run(const std::function<void()>& body) {
        if (GetParam()) {
            Runtime({.workers = 2}).run(body);
        } else {
            body();
        }
    }

private:
    std::filesystem::path directory_;
};

INSTANTIATE_TEST_SUITE_P(Where, FileOn, testing::Bool(), [](const auto& instance) {
    return instance.param ? "AFiber" : "APlainThread";
});

TEST_P(FileOn, ReadsBackWhatWasWritten) {
    run([this] {
        File file = File::open(path("new"), kNew, soon()).value();
        ASSERT_TRUE(file.write_all_at(0, bytes_of("hello, world"), soon()));
        ASSERT_TRUE(file.write_all_at(7, bytes_of("fiber"), soon()));
        ASSERT_TRUE(file.sync(soon()));
        EXPECT_EQ(file.size(soon()).value(), 12U);
        EXPECT_EQ(read_at(file, 0, 64), "hello, fiber");
        EXPECT_EQ(read_at(file, 7, 3), "fib");
        EXPECT_EQ(read_at(file, 12, 3), "");
        EXPECT_EQ(file.read_all(12, soon()).value(), "hello, fiber");
        EXPECT_EQ(read_file(path("new"), 100, soon()).value(), "hello, fiber");
    });
}

TEST_P(FileOn, ReadAllRefusesAFileOverTheLimit) {
    run([this] {
        File file = File::open(path("new"), kNew, soon()).value();
        const std::string text(10'000, 'x');
        ASSERT_TRUE(file.write_all_at(0, bytes_of(text), soon()));
        EXPECT_EQ(file.read_all(9'999, soon()).error(), std::errc::file_too_large);
        EXPECT_EQ(file.read_all(10'000, soon()).value(), text);
        EXPECT_EQ(file.read_all(SIZE_MAX, soon()).value(), text);
    });
}

TEST_P(FileOn, ReadAllReadsFilesThatSayTheyAreEmpty) {
    run([] {
        const auto status = read_file("/proc/self/status", 1 << 20, soon());
        ASSERT_TRUE(status);
        EXPECT_NE(status->find("Threads:"), std::string::npos);
        EXPECT_EQ(read_file("/proc/self/status", 100, soon()).error(), std::errc::file_too_large);
        EXPECT_EQ(read_file("/dev/null", 0, soon()).value(), "");
    });
}

TEST_P(FileOn, AppendWritesAtTheEndWhoeverElseWrites) {
    run([this] {
        const OpenOptions appending{.read = false, .write = true, .create = true, .append = true};
        File first = File::open(path("log"), appending, soon()).value();
        File second = File::open(path("log"), appending, soon()).value();
        ASSERT_TRUE(first.append(bytes_of("one "), soon()));
        ASSERT_TRUE(second.append(bytes_of("two "), soon()));
        ASSERT_TRUE(first.append(bytes_of("three"), soon()));
        EXPECT_EQ(read_file(path("log"), 100, soon()).value(), "one two three");
    });
}

TEST_P(FileOn, TruncateCutsAndFillsUp) {
    run([this] {
        File file = File::open(path("new"), kNew, soon()).value();
        ASSERT_TRUE(file.write_all_at(0, bytes_of("abcdef"), soon()));
        ASSERT_TRUE(file.truncate(3, soon()));
        ASSERT_TRUE(file.truncate(5, soon()));
        EXPECT_EQ(file.read_all(100, soon()).value(), std::string("abc\0\0", 5));
        EXPECT_EQ(file.truncate(UINT64_MAX, soon()).error(), std::errc::invalid_argument);
    });
}

TEST_P(FileOn, OpenDoesWhatItsOptionsSay) {
    run([this] {
        const std::string name = path("new");
        EXPECT_EQ(File::open(name, {}, soon()).error(), std::errc::no_such_file_or_directory);
        OpenOptions options = kNew;
        options.permissions = 0600;
        ASSERT_TRUE(
            File::open(name, options, soon()).value().write_all_at(0, bytes_of("x"), soon()));
        struct stat status {};
        ASSERT_EQ(::stat(name.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777U, 0600U);
        EXPECT_EQ(File::open(name, kNew, soon()).error(), std::errc::file_exists);
        File reading = File::open(name, {}, soon()).value();
        EXPECT_EQ(reading.write_all_at(0, bytes_of("y"), soon()).error(),
                  std::errc::bad_file_descriptor);
        ASSERT_TRUE(File::open(name, {.write = true, .truncate = true}, soon()));
        EXPECT_EQ(reading.size(soon()).value(), 0U);
        EXPECT_EQ(File::open(name + '\0' + "x", {}, soon()).error(), std::errc::invalid_argument);
    });
}

TEST_P(FileOn, OpenRefusesOptionsThatMeanNothing) {
    run([this] {
        for (const OpenOptions options :
             {OpenOptions{.read = false}, OpenOptions{.create = true},
              OpenOptions{.truncate = true}, OpenOptions{.append = true},
              OpenOptions{.write = true, .exclusive = true}}) {
            EXPECT_EQ(File::open(path("file"), options, soon()).error(),
                      std::errc::invalid_argument);
        }
    });
}

TEST_P(FileOn, OpenIsNotHeldUpByAPipeWithoutAPeer) {
    run([this] {
        ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
        EXPECT_TRUE(File::open(path("fifo"), {}, soon()));
        EXPECT_EQ(File::open(path("fifo"), {.read = false, .write = true}, soon()).error(),
                  std::errc::no_such_device_or_address);
    });
}

TEST(File, ACallThatWaitsForAThreadTimesOut) {
    Runtime runtime({.workers = 1, .blocking_threads = 1});
    runtime.run([] {
        test::Gate gate;
        auto other = spawn([&] { EXPECT_TRUE(blocking([&] { return gate.wait(); })); });
        spawn([] {}).join();  // the other has called by now
        EXPECT_EQ(read_file("/dev/null", 0, Deadline::after(2ms)).error(), std::errc::timed_out);
        gate.open();
        other.join();
        EXPECT_TRUE(read_file("/dev/null", 0, soon()));
    });
}

}  // namespace
}  // namespace coir
