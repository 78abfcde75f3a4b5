#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include "coir/base/error.hpp"
#include "coir/base/result.hpp"

namespace coir {

namespace detail {

/// What is too long for a loop without a check per digit. Apart, so that the rest is short enough to
/// be inlined.
template <std::integral T>
[[nodiscard, gnu::noinline]] Result<T> parse_long_integer(std::string_view text) noexcept {
    T value{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (stop != end || error == std::errc::invalid_argument) {
        return Errc::malformed_number;
    }
    if (error != std::errc{}) {
        return Errc::number_out_of_range;
    }
    return value;
}

}  // namespace detail

/// The decimal integer that is the whole of `text`: digits, with a leading '-' for signed types.
///
/// Errors: malformed_number, number_out_of_range. Nothing is skipped and nothing wraps around.
template <std::integral T>
[[nodiscard, gnu::always_inline]] inline Result<T> parse_integer(std::string_view text) noexcept {
    // Every number of so few digits fits 64 bits: no check per digit.
    constexpr std::size_t kShort = std::numeric_limits<std::uint64_t>::digits10 - 1;
    const bool negative = std::signed_integral<T> && text.starts_with('-');
    const std::string_view digits = text.substr(negative ? 1 : 0);
    if (!digits.empty() && digits.size() <= kShort) {
        std::int64_t value = 0;
        for (const char c : digits) {
            const unsigned digit = static_cast<unsigned char>(c) - unsigned{'0'};
            if (digit > 9) {
                return Errc::malformed_number;
            }
            value = 10 * value + digit;
        }
        value = negative ? -value : value;
        if (!std::in_range<T>(value)) {
            return Errc::number_out_of_range;
        }
        return static_cast<T>(value);
    }
    return detail::parse_long_integer<T>(text);
}

}  // namespace coir
