#include "coir/runtime/ticker.hpp"

#include <sys/timerfd.h>

#include <span>

#include "coir/base/syscall.hpp"

namespace coir {

Result<Ticker> Ticker::start(std::chrono::nanoseconds period) noexcept {
    if (period <= std::chrono::nanoseconds::zero()) {
        return std::errc::invalid_argument;
    }
    UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!timer) {
        return syscall::last_error();
    }
    const auto seconds = std::chrono::floor<std::chrono::seconds>(period);
    itimerspec setting{};
    setting.it_interval.tv_sec = seconds.count();
    setting.it_interval.tv_nsec = (period - seconds).count();
    setting.it_value = setting.it_interval;
    if (::timerfd_settime(timer.get(), 0, &setting, nullptr) != 0) {
        return syscall::last_error();
    }
    return Ticker(std::move(timer));
}

Result<std::uint64_t> Ticker::tick(Deadline deadline) noexcept {
    for (;;) {
        if (source_.must_give_up()) {
            return std::errc::operation_canceled;
        }
        std::uint64_t strikes = 0;
        const auto read =
            syscall::read(source_.fd(), std::as_writable_bytes(std::span(&strikes, 1)));
        if (read) {
            return strikes;
        }
        if (!syscall::would_block(read.error())) {
            return read.error();
        }
        if (const auto waited = source_.wait_readable(deadline); !waited) {
            return waited.error();
        }
    }
}

}  // namespace coir
