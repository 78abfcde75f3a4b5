#pragma once

#include <mutex>
#include <utility>

#include "runtime/session_control.hpp"

namespace coir::detail {

/// The sessions that were started on one worker, for who reports them or asks them to stop: those that wait
/// have no fiber that could be found.
/// Threads: any.
class SessionList final {
public:
    void add(SessionControl& session) noexcept {
        const std::lock_guard lock(mutex_);
        session.next_in_list = first_;
        if (first_ != nullptr) {
            first_->previous_in_list = &session;
        }
        first_ = &session;
    }
    void remove(SessionControl& session) noexcept {
        const std::lock_guard lock(mutex_);
        SessionControl* const previous = session.previous_in_list;
        (previous != nullptr ? previous->next_in_list : first_) = session.next_in_list;
        if (session.next_in_list != nullptr) {
            session.next_in_list->previous_in_list = previous;
        }
    }
    /// Calls `look` with each; none ends meanwhile.
    template <typename F>
    void for_each(F look) {
        const std::lock_guard lock(mutex_);
        for (SessionControl* session = first_; session != nullptr;
             session = session->next_in_list) {
            look(*session);
        }
    }
    /// Asks all to stop. Those that wait are taken out of their slots and put in front of `woken`, a chain by `next`: whoever
    /// calls wakes them.
    void request_stop(SessionControl*& woken) noexcept {
        for_each([&woken](SessionControl& session) {
            if (session.claim_for_stop()) {
                session.next = std::exchange(woken, &session);
            }
        });
    }

private:
    std::mutex mutex_;                 // never held across a suspension
    SessionControl* first_ = nullptr;  // under mutex_
};

}  // namespace coir::detail
