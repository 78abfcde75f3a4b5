#pragma once

#include <array>
#include <ctime>
#include <string_view>

namespace coir::http {

/// The Date header line, formatted once a second at most. It belongs to one exchange: sharing one
/// per process would need a lock, and formatting costs less than one.
class DateCache final {
public:
    /// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", always this long.
    static constexpr std::size_t kLineSize = 37;

    /// The line for that second (IMF-fixdate, RFC 9110, 5.6.7). Valid until the next call.
    [[nodiscard]] std::string_view line_at(std::time_t now) noexcept {
        if (now != second_) {
            format(now);
        }
        return line();
    }
    /// Brings line() up to date.
    void refresh() noexcept { (void)line_at(std::time(nullptr)); }
    /// The line of the last call.
    [[nodiscard]] std::string_view line() const noexcept { return {line_.data(), kLineSize}; }

private:
    void format(std::time_t now) noexcept;

    std::time_t second_ = -1;
    std::array<char, kLineSize> line_{};
};

}  // namespace coir::http
