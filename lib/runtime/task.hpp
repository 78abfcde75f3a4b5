#pragma once

#include <algorithm>
#include <cstdint>

#include "coir/base/deadline.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/runtime/time_limit.hpp"

namespace coir::detail {

struct ContextNode;
class LocalValues;

/// What a fiber, or a plain thread, carries for the code that it runs. Its own.
struct Task {
    Task() noexcept = default;
    ~Task();
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;

    /// Takes over what `parent` hands down; the deadline only if `with_deadline`.
    void inherit(Task& parent, bool with_deadline) noexcept;

    [[nodiscard]] bool obeys(StopRequests stops) const noexcept {
        return stops == StopRequests::obeyed && shields == 0;
    }
    /// When a wait ends that was given `own`.
    [[nodiscard]] Deadline earlier(Deadline own, StopRequests stops) noexcept {
        if (stops != StopRequests::obeyed) {
            return own;
        }
        if (limit.is_set() && shields == 0) [[unlikely]] {
            own = std::min(own, limit.deadline());
        }
        return std::min(own, deadline);
    }

    Deadline deadline = Deadline::never();  // of DeadlineScopes
    TimeLimit limit;
    std::uint32_t shields = 0;             // Shields that are alive
    std::uint32_t selects = 0;             // so that each begins with another arm
    const ContextNode* context = nullptr;  // the innermost value; a share of it
    LocalValues* locals = nullptr;
};

/// The running fiber's, or the thread's.
[[nodiscard]] Task& this_task() noexcept;
/// The calling plain thread's.
[[nodiscard]] Task& thread_task() noexcept;

/// Destroys the fiber-local values of `task`, the newest first.
void destroy_locals(Task& task) noexcept;
/// Destroys what `task` carries of its user's: its fiber-local values, then its share of the context.
/// Destructors may suspend, if it is the running fiber's.
void destroy_values(Task& task) noexcept;

}  // namespace coir::detail
