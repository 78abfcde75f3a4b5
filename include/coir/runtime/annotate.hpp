#pragma once

namespace coir::detail {

/// A release and an acquire of `object` that Boost makes out of ThreadSanitizer's sight: its library
/// is not instrumented. They do nothing in other builds.
void happens_before(const void* object) noexcept;
void happens_after(const void* object) noexcept;

}  // namespace coir::detail
