#include "coir/http/query.hpp"

#include "coir/base/error.hpp"

namespace coir::http {
namespace {

// 0 to 15, or -1.
int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::optional<std::string_view> Query::find(std::string_view name) const noexcept {
    for (const QueryParameter& parameter : *this) {
        if (parameter.name == name) {
            return parameter.value;
        }
    }
    return std::nullopt;
}

Result<std::string> to_decoded(std::string_view text, Plus plus) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '%') {
            if (text.size() - i < 3) {
                return Errc::malformed_request;
            }
            const int high = hex_digit(text[i + 1]);
            const int low = hex_digit(text[i + 2]);
            if (high < 0 || low < 0) {
                return Errc::malformed_request;
            }
            decoded.push_back(static_cast<char>(high * 16 + low));
            i += 2;
        } else {
            decoded.push_back(c == '+' && plus == Plus::is_blank ? ' ' : c);
        }
    }
    return decoded;
}

}  // namespace coir::http
