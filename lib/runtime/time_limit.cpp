#include "coir/runtime/time_limit.hpp"

#include "runtime/alarm.hpp"
#include "runtime/task.hpp"

namespace coir {

TimeLimit& TimeLimit::current() noexcept {
    return detail::this_task().limit;
}

TimeLimit::~TimeLimit() {
    drop_alarm();
}

Deadline TimeLimit::deadline() noexcept {
    if (!is_running_) {
        end_ = Deadline::roughly_after(allowed_);
        is_running_ = true;
    }
    return end_;
}

// Waits end by the exact clock, so one that has been cut is told from others.
bool TimeLimit::end_running() noexcept {
    is_running_ = false;
    drop_alarm();
    return end_.has_passed(Clock::now());
}

void TimeLimit::stop_at_end(std::stop_source listener) {
    if (!is_set()) {
        return;
    }
    const Deadline end = deadline();
    auto* const alarm = new detail::Alarm(std::move(listener));
    drop_alarm();
    alarm_ = alarm;
    alarm_->arm(end);
}

void TimeLimit::restore(std::chrono::milliseconds before, Clock::duration lasted) noexcept {
    allowed_ = before;
    if (is_running_ && !end_.is_never()) {
        end_ = lasted > Clock::time_point::max() - end_.time_point()
                   ? Deadline::never()
                   : Deadline::at(end_.time_point() + lasted);
        if (alarm_ != nullptr) {
            alarm_->arm(end_);
        }
    }
}

void TimeLimit::drop_alarm() noexcept {
    if (alarm_ != nullptr) {
        hold_alarm();
    }
    if (alarm_ != nullptr) {
        std::exchange(alarm_, nullptr)->release();
    }
}

void TimeLimit::hold_alarm() noexcept {
    if (!alarm_->disarm()) {
        std::exchange(alarm_, nullptr)->release();  // it has rung
    }
}

}  // namespace coir
