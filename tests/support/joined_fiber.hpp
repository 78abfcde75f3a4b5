#pragma once

#include <utility>

#include "coir/runtime/spawn.hpp"

namespace coir::test {

/// A handle whose destructor waits for its fiber, and does not ask it to stop.
template <typename T>
class JoinedFiber final {
public:
    JoinedFiber(FiberHandle<T> handle) noexcept : handle_(std::move(handle)) {}
    JoinedFiber(JoinedFiber&&) noexcept = default;
    JoinedFiber& operator=(JoinedFiber&&) = delete;
    ~JoinedFiber() {
        if (handle_.joinable()) {
            (void)handle_.wait(Deadline::never());
        }
    }

    T join() { return handle_.join(); }
    [[nodiscard]] bool is_done() const noexcept { return handle_.is_done(); }

private:
    FiberHandle<T> handle_;
};

}  // namespace coir::test
