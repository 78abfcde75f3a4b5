#pragma once

#include <cstddef>

#include "coir/runtime/annotate.hpp"

namespace coir::detail {

/// The C++ runtime's exception state of one thread (Itanium C++ ABI, 2.2.2: __cxa_eh_globals).
struct ExceptionState {
    void* caught_exceptions = nullptr;
    unsigned int uncaught_exceptions = 0;
};

/// What has to be carried over when a thread leaves one fiber for another.
struct SwitchState {
    ExceptionState exceptions;  // while the fiber is not running
    // For the sanitizers; unused without them.
    void* tsan_fiber = nullptr;
    bool is_thread = false;
    void* asan_fake_stack = nullptr;  // while the fiber is not running
    const void* stack_bottom = nullptr;
    std::size_t stack_bytes = 0;
};

/// The exception state of the calling thread; its address stays the same for the thread's life.
[[nodiscard]] ExceptionState& thread_exception_state() noexcept;

/// Tells the sanitizers of a stack that fibers will be switched to. `name` may be empty.
void announce_fiber(SwitchState& state, const char* name) noexcept;
/// The same for the stack on which the calling thread was started.
void announce_thread(SwitchState& state) noexcept;
/// Requires: the fiber does not run, or has never run.
void retire_fiber(SwitchState& state) noexcept;

/// Called just before the switch, on the stack that is left: exchanges the exception state and tells
/// the sanitizers. Boost 1.81 to 1.87 leave the former on the thread, where a fiber that suspends in
/// a catch block would find another's exception.
void leave_for(SwitchState& from, SwitchState& to, ExceptionState& thread) noexcept;

/// Tells the sanitizers that a stack holds nothing any more: the frames of a fiber that ended are
/// never left in their eyes.
void forget_stack(const void* bottom, std::size_t bytes) noexcept;

}  // namespace coir::detail
