#include "coir/sync/mutex.hpp"

#include <boost/fiber/mutex.hpp>
#include <new>

#include "coir/runtime/annotate.hpp"

namespace coir {
namespace {

using Native = boost::fibers::mutex;

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
    native(storage_).lock();
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
