#pragma once

#include <charconv>
#include <concepts>
#include <string_view>

#include "coir/base/error.hpp"
#include "coir/base/result.hpp"

namespace coir {

/// The decimal integer that is the whole of `text`: digits, with a leading '-' for signed types.
///
/// Errors: malformed_number, number_out_of_range. Nothing is skipped and nothing wraps around.
template <std::integral T>
[[nodiscard]] Result<T> parse_integer(std::string_view text) noexcept {
    T value{};
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc::result_out_of_range) {
        return Errc::number_out_of_range;
    }
    if (error != std::errc{} || stop != end) {
        return Errc::malformed_number;
    }
    return value;
}

}  // namespace coir
