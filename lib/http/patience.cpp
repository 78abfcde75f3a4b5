#include "patience.hpp"

#include <algorithm>

namespace coir::http {
namespace {

// Rates over this are cut to it, and so is what is earned at once: the products fit 64 bits.
constexpr std::uint64_t kMost = 9'000'000'000;

}  // namespace

Patience::Patience(std::chrono::milliseconds whole, std::uint64_t bytes_per_second) noexcept
    : whole_(saturated(whole)),
      left_(whole_),
      bytes_per_second_(std::clamp<std::uint64_t>(bytes_per_second, 1, kMost)) {}

void Patience::earn(std::uint64_t bytes) noexcept {
    using Nanoseconds = std::chrono::duration<std::uint64_t, std::nano>;
    const std::uint64_t seconds = std::min(bytes / bytes_per_second_, kMost);
    const std::uint64_t rest = bytes % bytes_per_second_ * 1'000'000'000 / bytes_per_second_;
    const Duration earned = saturated(Nanoseconds(seconds * 1'000'000'000 + rest));
    left_ = left_ >= whole_ - earned ? whole_ : left_ + earned;
}

}  // namespace coir::http
