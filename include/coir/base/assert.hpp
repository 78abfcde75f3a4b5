#pragma once

/// Two ways to say "this is our bug": COIR_ASSERT in builds with assertions (no NDEBUG), COIR_CHECK
/// always. Never for anything that a peer, the kernel or the user's input can cause.

namespace coir::detail {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace coir::detail

#define COIR_CHECK(expression)     \
    (static_cast<bool>(expression) \
         ? static_cast<void>(0)    \
         : ::coir::detail::assertion_failed(#expression, __FILE__, __LINE__))

#ifdef NDEBUG
#define COIR_ASSERT(expression) static_cast<void>(sizeof(static_cast<bool>(expression)))
#else
#define COIR_ASSERT(expression) COIR_CHECK(expression)
#endif
