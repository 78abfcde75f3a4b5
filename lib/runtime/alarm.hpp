#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>

#include "coir/base/deadline.hpp"
#include "runtime/deadline_wheel.hpp"
#include "runtime/waiter.hpp"

namespace coir::detail {

/// Triggers a stop source at a point of time, without a fiber that would wait for it.
///
/// To the wheel it is a sleep, and to its slot a waiter whose wake-up is the trigger. It belongs to
/// its setter and, from arm() to the end of the trigger or a disarm() in time, to the wheel as
/// well.
class Alarm final : private ForeignWaiter {
public:
    explicit Alarm(std::stop_source listener) noexcept;

    /// Requires: called on a fiber; it is new or has been disarmed.
    void arm(Deadline end) noexcept;
    /// False if it has been triggered, or is in this moment.
    [[nodiscard]] bool disarm() noexcept;
    /// The setter lets go. Requires: it is new or disarm() has been called.
    void release() noexcept;

private:
    ~Alarm();

    static void trigger(ForeignWaiter& waiter, Worker* here) noexcept;

    // This waiter while it is armed, else kSlotEmpty. Who takes it out has the wheel's share.
    std::atomic<std::uintptr_t> slot_{kSlotEmpty};
    std::optional<Sleep> sleep_;
    std::shared_ptr<DeadlineWheel> wheel_;  // in which sleep_ was put last
    std::stop_source listener_;
    bool is_counted_ = false;     // as one of poll_callbacks
    std::atomic<int> owners_{1};  // 1, or 2 while it is armed or being triggered; 0 deletes it
};

}  // namespace coir::detail
