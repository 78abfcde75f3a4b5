#include "coir/runtime/ticker.hpp"

#include <sys/timerfd.h>

#include <span>

#include "coir/base/assert.hpp"
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
    std::uint64_t strikes = 0;
    COIR_TRY(const std::size_t read, source_.when_readable(deadline, [&] {
        return syscall::read(source_.fd(), std::as_writable_bytes(std::span(&strikes, 1)));
    }));
    COIR_ASSERT(read == sizeof strikes);
    return strikes;
}

}  // namespace coir
