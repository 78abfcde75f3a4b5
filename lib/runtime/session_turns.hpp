#pragma once

#include "runtime/fiber_control.hpp"
#include "runtime/session_control.hpp"

namespace coir::detail {

/// Runs the turn that is due, and those that need no waiting after it. The session waits then, and may be anywhere,
/// or has ended. Called on the carrier, the running fiber.
void run_turns(SessionControl& session, FiberControl& carrier) noexcept;

}  // namespace coir::detail
