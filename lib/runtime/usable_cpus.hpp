#pragma once

#include <cstddef>

namespace coir::detail {

/// Keeps the calling thread on one of the processors that it may use: on the `index`th, counted around.
/// If the kernel refuses, it stays where it may be.
void pin_this_thread(std::size_t index) noexcept;

}  // namespace coir::detail
