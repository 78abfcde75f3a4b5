#pragma once

#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "coir/base/assert.hpp"

namespace coir {

namespace detail {

[[noreturn]] void throw_error(std::error_code error);

/// What a Result holds: a value, or an error.
template <typename T>
class Outcome final {
public:
    explicit Outcome(T value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : content_(std::in_place_index<0>, std::move(value)) {}
    explicit Outcome(std::error_code error) noexcept : content_(std::in_place_index<1>, error) {}

    [[nodiscard]] bool has_value() const noexcept { return content_.index() == 0; }
    [[nodiscard]] const T* value() const noexcept { return std::get_if<0>(&content_); }
    [[nodiscard]] std::error_code error() const noexcept {
        const auto* error = std::get_if<1>(&content_);
        return error == nullptr ? std::error_code{} : *error;
    }

private:
    std::variant<T, std::error_code> content_;
};

/// The same in two words, which come back in registers: what system calls return.
template <typename T>
requires(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(void*)) class Outcome<T> final {
public:
    explicit Outcome(T value) noexcept : value_(std::move(value)) {}
    explicit Outcome(std::error_code error) noexcept
        : code_(error.value()), category_(&error.category()) {}

    [[nodiscard]] bool has_value() const noexcept { return category_ == nullptr; }
    [[nodiscard]] const T* value() const noexcept { return has_value() ? &value_ : nullptr; }
    [[nodiscard]] std::error_code error() const noexcept {
        return has_value() ? std::error_code{} : std::error_code(code_, *category_);
    }

private:
    union {
        T value_;
        int code_;
    };
    const std::error_category* category_ = nullptr;  // of the error, if it is one
};

}  // namespace detail

/// A value, or the reason why there is none.
///
/// Its interface is a subset of std::expected<T, std::error_code>, to become an alias of it. The hot
/// path checks; main, tests and examples call value(), which throws std::system_error.
template <typename T>
class [[nodiscard]] Result final {
public:
    using value_type = T;

    Result(T value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : outcome_(std::move(value)) {}
    Result(std::error_code error) noexcept : outcome_(error) { COIR_ASSERT(error); }
    template <typename E>
    requires(std::is_error_code_enum_v<E> || std::is_error_condition_enum_v<E>) Result(E error)
    noexcept : Result(make_error_code(error)) {}

    [[nodiscard]] bool has_value() const noexcept { return outcome_.has_value(); }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

    /// Requires: has_value().
    [[nodiscard]] T& operator*() & noexcept { return *checked(); }
    [[nodiscard]] const T& operator*() const& noexcept { return *checked(); }
    [[nodiscard]] T&& operator*() && noexcept { return std::move(*checked()); }
    [[nodiscard]] T* operator->() noexcept { return checked(); }
    [[nodiscard]] const T* operator->() const noexcept { return checked(); }

    /// The value, or a std::system_error with error().
    [[nodiscard]] T& value() & {
        throw_unless_value();
        return **this;
    }
    [[nodiscard]] const T& value() const& {
        throw_unless_value();
        return **this;
    }
    [[nodiscard]] T&& value() && {
        throw_unless_value();
        return std::move(**this);
    }
    template <typename U>
    [[nodiscard]] T value_or(U&& fallback) && {
        return has_value() ? std::move(**this) : static_cast<T>(std::forward<U>(fallback));
    }

    /// Why there is no value; no error when there is one.
    [[nodiscard]] std::error_code error() const noexcept { return outcome_.error(); }

private:
    T* checked() noexcept { return const_cast<T*>(std::as_const(*this).checked()); }
    const T* checked() const noexcept {
        const T* const value = outcome_.value();
        COIR_ASSERT(value != nullptr);
        if (value == nullptr) {
            __builtin_unreachable();  // or the optimiser warns users of a null pointer
        }
        return value;
    }
    void throw_unless_value() const {
        if (!has_value()) {
            detail::throw_error(error());
        }
    }

    detail::Outcome<T> outcome_;
};

/// Success, or the reason why there is none.
template <>
class [[nodiscard]] Result<void> final {
public:
    using value_type = void;

    Result() noexcept = default;
    Result(std::error_code error) noexcept : value_(error.value()), category_(&error.category()) {}
    template <typename E>
    requires(std::is_error_code_enum_v<E> || std::is_error_condition_enum_v<E>) Result(E error)
    noexcept : Result(make_error_code(error)) {}

    [[nodiscard]] bool has_value() const noexcept { return value_ == 0; }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
    void value() const {
        if (!has_value()) {
            detail::throw_error(error());
        }
    }
    [[nodiscard]] std::error_code error() const noexcept {
        return has_value() ? std::error_code{} : std::error_code(value_, *category_);
    }

private:
    // Not a std::error_code: making an empty one costs a call for its category.
    int value_ = 0;
    const std::error_category* category_ = nullptr;
};

}  // namespace coir

#define COIR_DETAIL_JOIN_(a, b) a##b
#define COIR_DETAIL_JOIN(a, b) COIR_DETAIL_JOIN_(a, b)
#define COIR_DETAIL_TRY(result, declaration, expression) \
    auto result = (expression);                          \
    if (!result) {                                       \
        return result.error();                           \
    }                                                    \
    declaration = *std::move(result)

/// `COIR_TRY(auto n, read());` declares n, or returns the error of read() to the caller.
#define COIR_TRY(declaration, expression) \
    COIR_DETAIL_TRY(COIR_DETAIL_JOIN(coir_result_, __LINE__), declaration, expression)
