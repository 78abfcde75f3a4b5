#include "runtime/alarm.hpp"

#include <utility>

#include "coir/base/assert.hpp"
#include "runtime/poll_callbacks.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {

Alarm::Alarm(std::stop_source listener) noexcept
    : ForeignWaiter(trigger), listener_(std::move(listener)) {}

Alarm::~Alarm() {
    if (is_counted_) {
        poll_callbacks.fetch_sub(1, std::memory_order_relaxed);
    }
}

void Alarm::arm(Deadline end) noexcept {
    Worker* const worker = Worker::current();
    COIR_ASSERT(worker != nullptr);
    if (end.is_never()) {
        return;
    }
    if (worker->scheduler().is_alone() && !std::exchange(is_counted_, true)) {
        poll_callbacks.fetch_add(1, std::memory_order_relaxed);
    }
    owners_.fetch_add(1, std::memory_order_relaxed);
    slot_.store(reinterpret_cast<std::uintptr_t>(static_cast<Waiter*>(this)),
                std::memory_order_relaxed);
    sleep_.emplace(slot_, end.time_point());
    wheel_ = worker->deadlines();
    wheel_->add(*sleep_);  // its lock publishes all of that
}

bool Alarm::disarm() noexcept {
    if (wheel_ == nullptr) {
        return true;  // it was never to ring
    }
    wheel_->remove(*sleep_);
    // A sleep that is due and the waiter in its slot are taken under one lock. Pairs with end_sleeps().
    if (!holds_waiter(slot_.exchange(kSlotEmpty, std::memory_order_acq_rel))) {
        return false;
    }
    wheel_.reset();
    release();  // the wheel's share
    return true;
}

void Alarm::release() noexcept {
    // acq_rel with the other owner's: the last one sees all that was done to it
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

void Alarm::trigger(ForeignWaiter& waiter, Worker*) noexcept {
    auto& alarm = static_cast<Alarm&>(waiter);
    alarm.listener_.request_stop();
    alarm.release();
}

}  // namespace coir::detail
