#pragma once

#include <boost/fiber/context.hpp>
#include <cstddef>

#include "runtime/fiber_control.hpp"

namespace coir::detail {

/// Puts a control block at the top of the stack, and room for `storage_bytes` below it. Null if that would leave
/// the fiber less than three quarters of its stack.
[[nodiscard]] FiberControl* lay_out_fiber(RuntimeCore& core, const StackRegion& stack,
                                          std::size_t storage_bytes) noexcept;

/// Makes the context of a fiber that has all but that, and lets reports and requests to stop find it.
void make_startable(FiberControl& control) noexcept;

/// Puts Boost's context below the control block on the fiber's stack. The fiber holds the only
/// reference to itself then: Boost's dispatcher frees it, and its stack, when it has ended.
///
/// This is a source file of its own because sanitizers must not instrument it: its functions are
/// entered on one stack and left on another, or never left.
[[nodiscard]] boost::fibers::context* make_context(FiberControl& control) noexcept;

/// The fiber's life: runs the entry and counts the end. Defined with instrumentation.
void run_fiber(FiberControl& control) noexcept;

}  // namespace coir::detail
