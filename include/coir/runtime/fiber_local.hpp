#pragma once

#include <concepts>
#include <cstdint>
#include <memory>

#include "coir/runtime/context.hpp"

namespace coir {

namespace detail {

/// The calling fiber's or thread's value for `key`, or null.
[[nodiscard]] void* find_local(std::uint64_t key) noexcept;
/// Requires: it has none. Errors: std::bad_alloc; `value` is still the caller's then.
void add_local(std::uint64_t key, void* value, void (*destroy)(void*) noexcept);
/// Destroys the value, if there is one.
void remove_local(std::uint64_t key) noexcept;

}  // namespace detail

/// A variable of which every fiber has one of its own, as thread_local is for threads (which fibers
/// change). Plain threads have one each as well.
///
/// A value is made when its fiber first asks for it, and destroyed when the fiber ends, before its
/// joiner goes on, the newest first. Destructors may suspend, and may use other fiber-local values.
/// Make it with static lifetime; its values stay with their fibers when it goes.
/// Threads: any; a reference is for its own fiber.
/// Cost:    a search among the values of this fiber (a few).
template <std::default_initializable T>
class FiberLocal final {
public:
    FiberLocal() noexcept : key_(detail::unique_key()) {}
    FiberLocal(const FiberLocal&) = delete;
    FiberLocal& operator=(const FiberLocal&) = delete;

    /// The fiber's value; T() at first.
    [[nodiscard]] T& get() {
        if (void* const found = detail::find_local(key_)) {
            return *static_cast<T*>(found);
        }
        auto fresh = std::make_unique<T>();
        // Making it may have suspended, but not come here again: nobody else runs this fiber.
        detail::add_local(key_, fresh.get(),
                          [](void* value) noexcept { delete static_cast<T*>(value); });
        return *fresh.release();
    }
    [[nodiscard]] T& operator*() { return get(); }
    [[nodiscard]] T* operator->() { return &get(); }

    /// Destroys the fiber's value; the next get() makes a new one.
    void reset() noexcept { detail::remove_local(key_); }

private:
    const std::uint64_t key_;
};

}  // namespace coir
