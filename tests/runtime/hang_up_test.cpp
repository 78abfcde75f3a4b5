#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>

#include "coir/runtime/io_source.hpp"
#include "coir/runtime/runtime.hpp"
#include "runtime/descriptors.hpp"
#include "runtime/poll_callbacks.hpp"
#include "support/patience.hpp"

// IoSource::stop_on_hang_up(): who waits for something else hears that the peer has gone.
namespace coir {
namespace {

using test::soon;

/// A source on one end of a socket pair.
class HangUp : public testing::Test {
protected:
    void listen(std::stop_source listener) {
        runtime_.run([&] { EXPECT_TRUE(source_.stop_on_hang_up(std::move(listener))); });
    }
    [[nodiscard]] bool is_heard() const {
        return test::holds_before(soon(), [this] { return listener_.stop_requested(); });
    }

    test::FdPair ends_ = test::make_socket_pair();
    Runtime runtime_{{.workers = 2}};
    IoSource source_{std::move(ends_.first)};
    std::stop_source listener_;
};

TEST_F(HangUp, IsHeardThoughNobodyReads) {
    listen(listener_);
    (void)syscall::write(ends_.second.get(), std::as_bytes(std::span("x", 1))).value();
    ends_.second.reset();
    EXPECT_TRUE(is_heard());
    std::byte read;
    EXPECT_EQ(syscall::read(source_.fd(), std::span(&read, 1)).value(), 1U) << "a byte was lost";
}

TEST_F(HangUp, IsHeardAtOnceIfItHasHappened) {
    listen(listener_);
    ends_.second.reset();
    ASSERT_TRUE(is_heard());
    std::stop_source late;
    listen(late);
    EXPECT_TRUE(late.stop_requested());
}

TEST_F(HangUp, IsNotHeardByAnEarlierListener) {
    std::stop_source second;
    listen(listener_);
    listen(second);
    ends_.second.reset();
    EXPECT_TRUE(test::holds_before(soon(), [&] { return second.stop_requested(); }));
    EXPECT_FALSE(listener_.stop_requested());
}

TEST_F(HangUp, IsNotHeardWhenItHasBeenForgotten) {
    listen(listener_);
    source_.forget_hang_up();
    ends_.second.reset();
    runtime_.run([this] { EXPECT_TRUE(source_.wait_readable(soon())); });
    EXPECT_FALSE(listener_.stop_requested());
}

TEST_F(HangUp, IsHeardOfACancel) {
    listen(listener_);
    source_.cancel();
    EXPECT_TRUE(listener_.stop_requested());
}

TEST_F(HangUp, WhatCannotBeWatchedKeepsNoListener) {
    Runtime alone({.workers = 1});
    alone.run([&] {
        const auto before = detail::poll_callbacks.load();
        IoSource file(UniqueFd(::memfd_create("no socket", MFD_CLOEXEC)));
        EXPECT_FALSE(file.stop_on_hang_up(listener_));
        EXPECT_EQ(detail::poll_callbacks.load(), before);
        file.cancel();
    });
    EXPECT_FALSE(listener_.stop_requested());
}

TEST_F(HangUp, ACallbackMayDestroyTheSource) {
    listen(listener_);
    auto source = std::make_unique<IoSource>(std::move(source_));
    std::atomic<bool> gone{false};
    const std::stop_callback callback(listener_.get_token(), [&] {
        source.reset();
        gone = true;
    });
    ends_.second.reset();
    EXPECT_TRUE(test::holds_before(soon(), [&] { return gone.load(); }));
}

}  // namespace
}  // namespace coir
