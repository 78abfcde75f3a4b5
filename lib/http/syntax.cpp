#include "syntax.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace coir::http::syntax {
namespace {

constexpr std::uint8_t kTokenChar = 1;
constexpr std::uint8_t kValueChar = 2;
constexpr std::uint8_t kAuthorityChar = 4;

constexpr std::array<std::uint8_t, 256> make_classes() {
    std::array<std::uint8_t, 256> classes{};
    const auto add = [&classes](std::string_view characters, std::uint8_t kind) {
        for (const char c : characters) {
            classes[static_cast<unsigned char>(c)] |= kind;
        }
    };
    constexpr std::string_view kAlphanumeric =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    add(kAlphanumeric, kTokenChar | kAuthorityChar);
    add("!#$%&'*+-.^_`|~", kTokenChar);
    add("-._~%!$&'()*+;=:[]", kAuthorityChar);
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
    return all_are(text, kAuthorityChar);
}

}  // namespace coir::http::syntax
