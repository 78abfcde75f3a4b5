#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace coir {

namespace detail {

/// One value of a context and those around it: a list that is only ever extended at its head, so fibers
/// share its tail.
struct ContextNode {
    explicit ContextNode(std::uint64_t its_key) noexcept : key(its_key) {}
    virtual ~ContextNode() = default;
    ContextNode(const ContextNode&) = delete;
    ContextNode& operator=(const ContextNode&) = delete;

    mutable std::atomic<std::uint32_t> shares{1};
    const ContextNode* parent = nullptr;  // a share of it
    const std::uint64_t key;
};

template <typename T>
struct ContextValue final : ContextNode {
    template <typename U>
    ContextValue(std::uint64_t its_key, U&& its_value)
        : ContextNode(its_key), value(std::forward<U>(its_value)) {}
    const T value;
};

/// Never the same twice; not 0.
[[nodiscard]] std::uint64_t unique_key() noexcept;
/// The innermost value of the calling fiber or thread for `key`, or null.
[[nodiscard]] const ContextNode* find_context(std::uint64_t key) noexcept;
void enter_context(ContextNode* node) noexcept;
void leave_context() noexcept;

}  // namespace detail

/// Names one value that a fiber hands down to every fiber it spawns: a request id, a trace, a user.
///
/// The value is set by a WithContext for a block of code, and is constant: who needs another one sets
/// it inside. (So does Go's context.WithValue.) Make keys with static lifetime.
/// The last that has a value destroys it: a fiber when it ends, before its joiner goes on. The destructor
/// may suspend there.
/// Threads: any.
template <typename T>
class ContextKey final {
public:
    ContextKey() noexcept : key_(detail::unique_key()) {}
    ContextKey(const ContextKey&) = delete;
    ContextKey& operator=(const ContextKey&) = delete;

    /// The value of the calling fiber or thread, or null. Valid as long as the WithContext around it, and in
    /// a fiber that has inherited it, for that fiber's life.
    /// Cost: one step for each WithContext that is around the caller.
    [[nodiscard]] const T* get() const noexcept {
        const detail::ContextNode* const node = detail::find_context(key_);
        return node == nullptr ? nullptr
                               : &static_cast<const detail::ContextValue<T>*>(node)->value;
    }

private:
    template <typename>
    friend class WithContext;

    const std::uint64_t key_;
};

/// Gives `key` a value while it lives, for the calling fiber or thread and what it spawns meanwhile. Those
/// keep it when this has ended.
///
/// Requires: destroyed by the fiber or thread that made it, in reverse order.
/// Cost:     one allocation; one atomic increment per spawn.
template <typename T>
class [[nodiscard]] WithContext final {
public:
    template <typename U>
    WithContext(const ContextKey<T>& key, U&& value) {
        detail::enter_context(new detail::ContextValue<T>(key.key_, std::forward<U>(value)));
    }
    ~WithContext() { detail::leave_context(); }
    WithContext(const WithContext&) = delete;
    WithContext& operator=(const WithContext&) = delete;
};

template <typename T, typename U>
WithContext(const ContextKey<T>&, U&&) -> WithContext<T>;

}  // namespace coir
