#include "syntax.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

#include "coir/base/number.hpp"
#include "coir/net/address.hpp"

namespace coir::http::syntax {
namespace {

constexpr std::uint8_t kTokenChar = 1;
constexpr std::uint8_t kValueChar = 2;
constexpr std::uint8_t kHostChar = 4;

constexpr std::array<std::uint8_t, 256> make_classes() {
    std::array<std::uint8_t, 256> classes{};
    const auto add = [&classes](std::string_view characters, std::uint8_t kind) {
        for (const char c : characters) {
            classes[static_cast<unsigned char>(c)] |= kind;
        }
    };
    constexpr std::string_view kAlphanumeric =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    add(kAlphanumeric, kTokenChar | kHostChar);
    add("!#$%&'*+-.^_`|~", kTokenChar);
    add("-._~%!$&'()*+;=", kHostChar);
    for (std::size_t c = 0; c < classes.size(); ++c) {
        if (c == '\t' || (c >= ' ' && c != 0x7f)) {
            classes[c] |= kValueChar;
        }
    }
    return classes;
}

constexpr std::array<std::uint8_t, 256> kClasses = make_classes();

// Looks at every character: valid text is the rule, and a loop without an exit is the shorter one.
bool all_are(std::string_view text, std::uint8_t kind) noexcept {
    std::uint8_t common = kind;
    for (const char c : text) {
        common &= kClasses[static_cast<unsigned char>(c)];
    }
    return common != 0;
}

bool is_hex_digit(char c) noexcept {
    return std::string_view("0123456789abcdefABCDEF").find(c) != std::string_view::npos;
}

// reg-name, which an IPv4 address is too. Less the comma: a Host is no list.
bool is_registered_name(std::string_view name) noexcept {
    if (name.empty() || !all_are(name, kHostChar)) {
        return false;
    }
    for (std::size_t at = name.find('%'); at < name.size(); at = name.find('%', at + 3)) {
        if (name.size() - at < 3 || !is_hex_digit(name[at + 1]) || !is_hex_digit(name[at + 2])) {
            return false;
        }
    }
    return true;
}

// "[" IPv6address "]". Nobody has defined an IPvFuture.
bool is_ip_literal(std::string_view literal) noexcept {
    return literal.ends_with(']') && net::SocketAddress::parse(literal, 0).has_value();
}

// *DIGIT: none at all means the scheme's own.
bool is_port(std::string_view digits) noexcept {
    return digits.empty() || parse_integer<std::uint16_t>(digits).has_value();
}

}  // namespace

bool is_token_char(char c) noexcept {
    return (kClasses[static_cast<unsigned char>(c)] & kTokenChar) != 0;
}

bool is_token(std::string_view text) noexcept {
    return !text.empty() && all_are(text, kTokenChar);
}

bool is_field_value(std::string_view text) noexcept {
    return all_are(text, kValueChar);
}

bool is_field_char(char c) noexcept {
    return (kClasses[static_cast<unsigned char>(c)] & kValueChar) != 0;
}

bool is_authority(std::string_view text) noexcept {
    std::string_view host = text;
    if (text.starts_with('[')) {
        host = text.substr(0, text.find(']') + 1);  // empty where there is none
        if (!is_ip_literal(host)) {
            return false;
        }
    } else {
        host = text.substr(0, text.find(':'));
        if (!is_registered_name(host)) {
            return false;
        }
    }
    text.remove_prefix(host.size());
    return text.empty() || (text.front() == ':' && is_port(text.substr(1)));
}

}  // namespace coir::http::syntax
