#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace coir::http {

/// The methods a handler can be asked for. CONNECT, TRACE and extension methods never get that far:
/// the engine answers them with 501.
enum class Method : std::uint8_t { get, head, post, put, patch, del, options };

inline constexpr std::size_t kMethodCount = 7;

/// "GET", "HEAD", ...
[[nodiscard]] std::string_view as_text(Method method) noexcept;
/// Methods are case-sensitive: "get" is none.
[[nodiscard]] std::optional<Method> parse_method(std::string_view text) noexcept;

/// Some of the methods.
class MethodSet final {
public:
    constexpr MethodSet() noexcept = default;

    constexpr void insert(Method method) noexcept {
        bits_ = static_cast<std::uint8_t>(bits_ | bit(method));
    }
    constexpr void insert(MethodSet others) noexcept {
        bits_ = static_cast<std::uint8_t>(bits_ | others.bits_);
    }
    [[nodiscard]] constexpr bool contains(Method method) const noexcept {
        return (bits_ & bit(method)) != 0;
    }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
    friend constexpr bool operator==(MethodSet, MethodSet) noexcept = default;

private:
    static constexpr unsigned bit(Method method) noexcept {
        return 1U << static_cast<unsigned>(method);
    }

    std::uint8_t bits_ = 0;
};

}  // namespace coir::http
