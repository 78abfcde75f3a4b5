#pragma once

#include <string_view>

namespace coir::http {

/// A media type that the compiler has checked, so that nothing checks or copies it per response.
class MediaType final {
public:
    explicit consteval MediaType(const char* text) : text_(text) {
        for (const char c : text_) {
            if (c < ' ' || c == '\x7f') {
                throw "a media type has no control characters";
            }
        }
    }

    [[nodiscard]] constexpr std::string_view as_text() const noexcept { return text_; }

private:
    std::string_view text_;
};

namespace media {

inline constexpr MediaType text_plain{"text/plain"};
inline constexpr MediaType text_html{"text/html; charset=utf-8"};
inline constexpr MediaType json{"application/json"};
inline constexpr MediaType octet_stream{"application/octet-stream"};

}  // namespace media

}  // namespace coir::http
