#pragma once

#include <atomic>
#include <boost/fiber/context.hpp>
#include <boost/fiber/detail/spinlock.hpp>
#include <boost/fiber/properties.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <source_location>
#include <string_view>

#include "coir/runtime/spawn.hpp"
#include "runtime/fiber_switch.hpp"
#include "runtime/stack_pool.hpp"
#include "runtime/stop_state.hpp"
#include "runtime/task.hpp"

namespace coir::detail {

class RuntimeCore;
class SessionControl;
struct SessionType;

/// What we add to a Boost fiber.
///
/// Lies at the top of the fiber's own stack, above Boost's context, so that a spawn allocates
/// nothing else; that is why deleting it frees nothing.
class FiberControl final : public boost::fibers::fiber_properties {
public:
    explicit FiberControl(boost::fibers::context* context = nullptr) noexcept
        : fiber_properties(context) {}
    ~FiberControl() override { retire_fiber(switch_state); }

    static void operator delete(void*) noexcept {}
    static void* operator new(std::size_t, void* place) noexcept { return place; }

    [[nodiscard]] boost::fibers::context* context() const noexcept { return ctx_; }
    void set_name(std::string_view name) noexcept {
        const std::size_t length = name.size() < sizeof name_ ? name.size() : sizeof name_ - 1;
        if (length != 0) {
            std::memcpy(name_, name.data(), length);
        }
        name_[length] = '\0';
    }
    [[nodiscard]] std::string_view name() const noexcept { return name_; }

    RuntimeCore* core = nullptr;
    FiberEntry entry = nullptr;
    void* storage = nullptr;
    StackRegion stack;
    std::uint64_t id = 0;
    int worker = -1;  // where it starts; -1: anywhere
    bool pinned = false;
    /// With forced migration: it may run where it last ran.
    bool may_stay = false;
    bool is_carrier = false;      // see carriers.hpp: it counts for nothing
    bool is_told_to_end = false;  // of a carrier
    bool has_odd_stack = false;   // of a carrier: not of the runtime's usual size
    /// Of a carrier: the session whose turn it runs, for others to compare; and that of the name.
    std::atomic<const SessionControl*> carries{nullptr};
    const SessionType* named_for = nullptr;
    std::source_location site;

    /// Holds `parking` from before the fiber makes itself known to a waker until it has left its
    /// stack; Boost releases it after the switch. Not in the fiber's frame: Boost writes to the guard
    /// after it has released the lock.
    boost::fibers::detail::spinlock_lock& parking_guard() noexcept { return parking_guard_; }
    /// Returns when the fiber has left its stack for good, so that this thread may run it.
    void await_parked() noexcept {
        parking_.lock();
        parking_.unlock();
        while (parking_guard_.owns_lock()) {
            asm volatile("" ::: "memory");  // another thread's plain store is on its way
        }
        happens_after(&parking_);
    }
    void about_to_park() noexcept { happens_before(&parking_); }

    SwitchState switch_state;
    Task task;
    StopState stop;

    // Its place in its scope; under the scope's lock.
    ScopeState* scope = nullptr;
    FiberControl* next_in_scope = nullptr;
    FiberControl* previous_in_scope = nullptr;

    /// For reports: a literal that says what the fiber waits for, null while it does not; and the
    /// descriptor or -1, and the worker on which it came to wait.
    std::atomic<const char*> waits_for{nullptr};
    std::atomic<int> waits_on_fd{-1};
    std::atomic<int> last_worker{-1};

private:
    boost::fibers::detail::spinlock parking_;
    boost::fibers::detail::spinlock_lock parking_guard_{parking_, std::defer_lock};
    char name_[24] = {};
};

[[nodiscard]] inline FiberControl& control_of(boost::fibers::context& context) noexcept {
    return *static_cast<FiberControl*>(context.get_properties());
}

}  // namespace coir::detail
