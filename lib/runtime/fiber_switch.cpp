#include "runtime/fiber_switch.hpp"

#include <cxxabi.h>
#include <pthread.h>

#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define COIR_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#define COIR_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif

namespace coir::detail {

ExceptionState& thread_exception_state() noexcept {
    // The structure is opaque in <cxxabi.h>, but its layout is part of the ABI.
    return *reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
}

void announce_fiber([[maybe_unused]] SwitchState& state,
                    [[maybe_unused]] const char* name) noexcept {
#ifdef COIR_TSAN
    state.tsan_fiber = __tsan_create_fiber(0);
    if (name[0] != '\0') {
        __tsan_set_fiber_name(state.tsan_fiber, name);
    }
#endif
}

void announce_thread([[maybe_unused]] SwitchState& state) noexcept {
#ifdef COIR_TSAN
    state.tsan_fiber = __tsan_get_current_fiber();
    state.is_thread = true;
#endif
#ifdef COIR_ASAN
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        void* bottom = nullptr;
        std::size_t bytes = 0;
        pthread_attr_getstack(&attributes, &bottom, &bytes);
        pthread_attr_destroy(&attributes);
        state.stack_bottom = bottom;
        state.stack_bytes = bytes;
    }
#endif
}

// Uninstrumented: for a moment it has another fiber's frames.
__attribute__((no_sanitize("address"))) void retire_fiber(
    [[maybe_unused]] SwitchState& state) noexcept {
#ifdef COIR_TSAN
    if (state.tsan_fiber != nullptr && !state.is_thread) {
        __tsan_destroy_fiber(std::exchange(state.tsan_fiber, nullptr));
    }
#endif
#ifdef COIR_ASAN
    if (state.asan_fake_stack != nullptr) {
        // Only the fiber that runs can end its own, for the sanitizer: so this thread becomes the fiber
        // and goes back.
        void* own = nullptr;
        const void* bottom = nullptr;
        std::size_t bytes = 0;
        __sanitizer_start_switch_fiber(&own, state.stack_bottom, state.stack_bytes);
        __sanitizer_finish_switch_fiber(std::exchange(state.asan_fake_stack, nullptr), &bottom,
                                        &bytes);
        __sanitizer_start_switch_fiber(nullptr, bottom, bytes);
        __sanitizer_finish_switch_fiber(own, nullptr, nullptr);
    }
#endif
}

// Uninstrumented: it is entered on one fiber's shadow stack and left on another's.
__attribute__((no_sanitize("thread"), no_sanitize("address"))) void leave_for(
    SwitchState& from, SwitchState& to, ExceptionState& thread) noexcept {
    from.exceptions = thread;
    thread = to.exceptions;
#ifdef COIR_ASAN
    // Both halves before the switch: no code of ours is sure to run right after it (the fiber may
    // return into Boost), and Boost's few frames until then are not instrumented.
    __sanitizer_start_switch_fiber(&from.asan_fake_stack, to.stack_bottom, to.stack_bytes);
    __sanitizer_finish_switch_fiber(std::exchange(to.asan_fake_stack, nullptr), nullptr, nullptr);
#endif
#ifdef COIR_TSAN
    __tsan_switch_to_fiber(to.tsan_fiber, 0);  // 0: what this thread did before is seen after
#endif
}

void forget_stack([[maybe_unused]] const void* bottom,
                  [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef COIR_ASAN
    __asan_unpoison_memory_region(bottom, bytes);
#endif
}

void happens_before([[maybe_unused]] const void* object) noexcept {
#ifdef COIR_TSAN
    __tsan_release(const_cast<void*>(object));
#endif
}

void happens_after([[maybe_unused]] const void* object) noexcept {
#ifdef COIR_TSAN
    __tsan_acquire(const_cast<void*>(object));
#endif
}

}  // namespace coir::detail
