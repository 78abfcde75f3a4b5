#include "coir/sync/condition_variable.hpp"

#include <boost/fiber/condition_variable.hpp>
#include <chrono>
#include <new>
#include <thread>

#include "coir/runtime/this_fiber.hpp"

namespace coir {
namespace {

using Native = boost::fibers::condition_variable_any;

constexpr std::chrono::microseconds kRetryInterval{500};

/// A plain thread looks again and again: see Mutex::lock().
void look_away(std::unique_lock<Mutex>& lock) {
    lock.unlock();
    std::this_thread::sleep_for(kRetryInterval);
    lock.lock();
}

Native& native(std::byte* storage) noexcept {
    return *std::launder(reinterpret_cast<Native*>(storage));
}

}  // namespace

ConditionVariable::ConditionVariable() noexcept {
    static_assert(sizeof(Native) <= sizeof storage_ && alignof(Native) <= 8);
    ::new (static_cast<void*>(storage_)) Native;
}

ConditionVariable::~ConditionVariable() {
    native(storage_).~Native();
}

void ConditionVariable::wait(std::unique_lock<Mutex>& lock) {
    if (this_worker::index() < 0) {
        look_away(lock);
        return;
    }
    native(storage_).wait(lock);
}

bool ConditionVariable::wait_until(std::unique_lock<Mutex>& lock, Deadline deadline) {
    if (deadline.is_never()) {
        wait(lock);
        return true;
    }
    if (this_worker::index() < 0) {
        look_away(lock);
        return !deadline.has_passed(Deadline::Clock::now());
    }
    return native(storage_).wait_until(lock, deadline.time_point()) ==
           boost::fibers::cv_status::no_timeout;
}

void ConditionVariable::notify_one() noexcept {
    native(storage_).notify_one();
}

void ConditionVariable::notify_all() noexcept {
    native(storage_).notify_all();
}

}  // namespace coir
