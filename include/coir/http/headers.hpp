#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

namespace coir::http {

/// Field names and many values compare without regard to case, and only ASCII has case here.
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

struct Header {
    std::string_view name;
    std::string_view value;  // without the blanks around it
};

/// Where one header field lies, counted from the beginning of its message: a head has at most 64
/// KiB.
struct HeaderSpan {
    std::uint16_t name_begin;
    std::uint16_t name_size;
    std::uint16_t value_begin;
    std::uint16_t value_size;
};

/// The header fields of one message in the order they came: views, which live as long as its bytes.
class Headers final {
public:
    class Iterator final {
    public:
        using value_type = Header;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        Iterator() noexcept = default;
        Iterator(const char* message, const HeaderSpan* span) noexcept
            : message_(message), span_(span) {}

        [[nodiscard]] Header operator*() const noexcept {
            return {{message_ + span_->name_begin, span_->name_size},
                    {message_ + span_->value_begin, span_->value_size}};
        }
        Iterator& operator++() noexcept {
            ++span_;
            return *this;
        }
        Iterator operator++(int) noexcept {
            const Iterator before = *this;
            ++span_;
            return before;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.span_ == b.span_;
        }

    private:
        const char* message_ = nullptr;
        const HeaderSpan* span_ = nullptr;
    };

    Headers() noexcept = default;
    Headers(const char* message, const HeaderSpan* spans, std::size_t count) noexcept
        : message_(message), spans_(spans), count_(count) {}

    /// The first value of that name; names compare without regard to case.
    /// Cost: linear in the number of fields.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
    /// How many fields have that name.
    [[nodiscard]] std::size_t count(std::string_view name) const noexcept;
    /// Calls `visit(std::string_view)` with every value of that name, in order.
    template <typename Visit>
    void for_each_value(std::string_view name, Visit visit) const {
        for (const Header header : *this) {
            if (equals_ignoring_case(header.name, name)) {
                visit(header.value);
            }
        }
    }

    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] Iterator begin() const noexcept { return {message_, spans_}; }
    [[nodiscard]] Iterator end() const noexcept { return {message_, spans_ + count_}; }

private:
    const char* message_ = nullptr;
    const HeaderSpan* spans_ = nullptr;
    std::size_t count_ = 0;
};

/// Calls `visit(std::string_view)` with every element of a comma-separated field value, without the
/// blanks around it; empty elements are left out (RFC 9110, 5.6.1).
template <typename Visit>
void for_each_element(std::string_view list, Visit visit) {
    constexpr std::string_view kBlanks = " \t";
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        std::string_view element = list.substr(0, comma);
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        const std::size_t first = element.find_first_not_of(kBlanks);
        if (first != std::string_view::npos) {
            const std::size_t last = element.find_last_not_of(kBlanks);
            visit(element.substr(first, last - first + 1));
        }
    }
}

}  // namespace coir::http
