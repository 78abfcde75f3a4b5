#include "coir/http/headers.hpp"

namespace coir::http {
namespace {

constexpr char to_lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) {
            return false;
        }
    }
    return true;
}

std::optional<std::string_view> Headers::find(std::string_view name) const noexcept {
    for (const Header header : *this) {
        if (equals_ignoring_case(header.name, name)) {
            return header.value;
        }
    }
    return std::nullopt;
}

std::size_t Headers::count(std::string_view name) const noexcept {
    std::size_t found = 0;
    for_each_value(name, [&found](std::string_view) { ++found; });
    return found;
}

}  // namespace coir::http
