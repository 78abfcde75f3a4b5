#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "coir/base/result.hpp"

namespace coir::http {

struct QueryParameter {
    std::string_view name;
    std::string_view value;  // empty where there is no '='
};

/// The `name=value` pairs of a query string, as they came: views, not decoded.
///
///     for (const auto [name, value] : Query("a=13&b=42")) { ... }
///
/// Pairs are separated by '&'; empty ones ("a=1&&b=2") are left out.
class Query final {
public:
    class Iterator final {
    public:
        using value_type = QueryParameter;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        Iterator() noexcept = default;
        explicit Iterator(std::string_view rest) noexcept : rest_(rest) { advance(); }

        [[nodiscard]] const QueryParameter& operator*() const noexcept { return current_; }
        [[nodiscard]] const QueryParameter* operator->() const noexcept { return &current_; }
        Iterator& operator++() noexcept {
            advance();
            return *this;
        }
        Iterator operator++(int) noexcept {
            const Iterator before = *this;
            advance();
            return before;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.current_.name.data() == b.current_.name.data();
        }

    private:
        void advance() noexcept;

        std::string_view rest_;
        QueryParameter current_;  // the end has a name without data()
    };

    Query() noexcept = default;
    explicit Query(std::string_view text) noexcept : text_(text) {}

    /// The first value of that name, not decoded; names compare as they are written.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;

    [[nodiscard]] std::string_view as_text() const noexcept { return text_; }
    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
    [[nodiscard]] Iterator begin() const noexcept { return Iterator(text_); }
    [[nodiscard]] Iterator end() const noexcept { return Iterator(); }

private:
    std::string_view text_;
};

// Inline: a pair is a few bytes, and a call for each costs more than to walk over them.
inline void Query::Iterator::advance() noexcept {
    const char* begin = rest_.data();
    const char* const end = begin + rest_.size();
    while (begin != end && *begin == '&') {
        ++begin;
    }
    if (begin == end) {
        current_ = {};
        rest_ = {};
        return;
    }
    const char* name_end = begin;
    while (name_end != end && *name_end != '=' && *name_end != '&') {
        ++name_end;
    }
    const char* stop = name_end;
    while (stop != end && *stop != '&') {
        ++stop;
    }
    const char* const value = stop == name_end ? stop : name_end + 1;
    current_ = {{begin, static_cast<std::size_t>(name_end - begin)},
                {value, static_cast<std::size_t>(stop - value)}};
    stop += static_cast<std::ptrdiff_t>(stop != end);  // the '&'
    rest_ = {stop, static_cast<std::size_t>(end - stop)};
}

/// What '+' stands for: a blank in a query or a form, itself in a path.
enum class Plus { is_blank, is_plus };

/// `text` with every %41 replaced by its byte. Errors: malformed_request ('%' without two digits).
[[nodiscard]] Result<std::string> to_decoded(std::string_view text, Plus plus = Plus::is_blank);

}  // namespace coir::http
