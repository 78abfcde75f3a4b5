#include "coir/sync/mutex.hpp"

#include <boost/fiber/mutex.hpp>
#include <chrono>
#include <new>
#include <thread>

#include "coir/runtime/annotate.hpp"
#include "coir/runtime/this_fiber.hpp"

namespace coir {
namespace {

using Native = boost::fibers::mutex;

constexpr std::chrono::microseconds kRetryInterval{100};

Native& native(std::byte* storage) noexcept {
    return *std::launder(reinterpret_cast<Native*>(storage));
}

}  // namespace

Mutex::Mutex() noexcept {
    static_assert(sizeof(Native) <= sizeof storage_ && alignof(Native) <= 8);
    ::new (static_cast<void*>(storage_)) Native;
}

Mutex::~Mutex() {
    native(storage_).~Native();
}

void Mutex::lock() {
    if (this_worker::index() >= 0) {
        native(storage_).lock();
    } else {
        // Boost would give the thread a scheduler, and whoever unlocks could still be in it when the
        // thread has ended. A plain thread does not wait there, it tries again.
        while (!native(storage_).try_lock()) {
            std::this_thread::sleep_for(kRetryInterval);
        }
    }
    detail::happens_after(this);
}

bool Mutex::try_lock() {
    if (!native(storage_).try_lock()) {
        return false;
    }
    detail::happens_after(this);
    return true;
}

void Mutex::unlock() {
    detail::happens_before(this);
    native(storage_).unlock();
}

}  // namespace coir
