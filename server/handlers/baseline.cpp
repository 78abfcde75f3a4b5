#include "handlers/baseline.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "coir/base/number.hpp"
#include "coir/http/body_reader.hpp"
#include "text.hpp"

namespace coir::server {

namespace {

using Sum = std::int64_t;

// "-9223372036854775808"
constexpr std::size_t kMaxSumBytes = 20;

/// False, and the sum is as before: it would overflow.
[[nodiscard]] bool add(Sum& sum, Sum value) noexcept {
    Sum next;
    if (__builtin_add_overflow(sum, value, &next)) {
        return false;
    }
    sum = next;
    return true;
}

[[nodiscard, gnu::noinline]] Result<Sum> parse_encoded(std::string_view text) {
    COIR_TRY(const std::string decoded, http::to_decoded(text));
    return parse_integer<Sum>(decoded);
}

/// Query values are almost never encoded: only what is no integer as it came gets decoded.
[[nodiscard]] Result<Sum> parse_value(std::string_view text) {
    const auto value = parse_integer<Sum>(text);
    return value ? value : parse_encoded(text);
}

void refuse(http::Response& response, std::string_view why, std::string_view culprit) {
    response.status(http::Status::bad_request)
        .content_type(http::media::text_plain)
        .body(std::string(why) + ": " + to_printable(culprit));
}

constexpr std::string_view kNoInteger = "not a 64-bit integer";
constexpr std::string_view kOverflow = "the sum overflows 64 bits";

[[gnu::cold]] void refuse(http::Response& response, std::string_view why,
                          const http::QueryParameter& culprit) {
    std::string text(culprit.name);
    if (!culprit.value.empty()) {
        text.append(1, '=').append(culprit.value);
    }
    refuse(response, why, text);
}

/// False after a refusal.
[[nodiscard]] bool add_query(Sum& sum, const http::Request& request, http::Response& response) {
    for (const http::QueryParameter parameter : request.query()) {
        const auto value = parse_value(parameter.value);
        if (!value) {
            refuse(response, kNoInteger, parameter);
            return false;
        }
        if (!add(sum, *value)) {
            refuse(response, kOverflow, parameter);
            return false;
        }
    }
    return true;
}

[[nodiscard]] std::string_view trim(std::string_view text) noexcept {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// False after a refusal.
[[nodiscard]] bool add_body(Sum& sum, std::string_view body, http::Response& response) {
    const auto value = parse_integer<Sum>(trim(body));
    if (!value) {
        refuse(response, kNoInteger, body.empty() ? "an empty body" : body);
        return false;
    }
    if (!add(sum, *value)) {
        refuse(response, kOverflow, body);
        return false;
    }
    return true;
}

void answer(Sum sum, http::Response& response) {
    std::array<char, kMaxSumBytes> digits;
    const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), sum).ptr;
    response.content_type(http::media::text_plain)
        .body({digits.data(), static_cast<std::size_t>(end - digits.data())});
}

}  // namespace

void get_baseline(http::Request& request, http::Response& response) {
    Sum sum = 0;
    if (add_query(sum, request, response)) {
        answer(sum, response);
    }
}

void post_baseline(http::Request& request, http::Response& response) {
    Sum sum = 0;
    if (!add_query(sum, request, response)) {
        return;
    }
    const auto body = request.body().read_all(Deadline::never());
    if (!body) {
        return;  // the engine answers with the status that fits
    }
    if (add_body(sum, *body, response)) {
        answer(sum, response);
    }
}

}  // namespace coir::server
