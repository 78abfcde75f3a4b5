#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "coir/base/assert.hpp"

namespace coir {

template <typename Signature>
class UniqueFunction;

/// A callable that can be moved, not copied (std::move_only_function is C++23). Allocates once.
template <typename R, typename... Args>
class UniqueFunction<R(Args...)> final {
public:
    UniqueFunction() noexcept = default;
    template <typename F>
    requires(!std::same_as<std::remove_cvref_t<F>, UniqueFunction> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>) UniqueFunction(F&& function)
        : target_(std::make_unique<Target<std::decay_t<F>>>(std::forward<F>(function))) {}

    /// Requires: *this holds a callable.
    R operator()(Args... args) {
        COIR_ASSERT(target_ != nullptr);
        return target_->call(std::forward<Args>(args)...);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return target_ != nullptr; }

private:
    struct Base {
        virtual ~Base() = default;
        virtual R call(Args... args) = 0;
    };
    template <typename F>
    struct Target final : Base {
        template <typename G>
        explicit Target(G&& g) : function(std::forward<G>(g)) {}
        R call(Args... args) override {
            if constexpr (std::is_void_v<R>) {
                static_cast<void>(std::invoke(function, std::forward<Args>(args)...));
            } else {
                return std::invoke(function, std::forward<Args>(args)...);
            }
        }
        F function;
    };

    std::unique_ptr<Base> target_;
};

}  // namespace coir
