#pragma once

#include <atomic>
#include <boost/fiber/context.hpp>
#include <boost/fiber/scheduler.hpp>
#include <cstddef>
#include <mutex>

#include "coir/base/spin_lock.hpp"
#include "runtime/session_control.hpp"

namespace coir::detail {

/// Ready fibers and sessions that came from threads which are no workers, for whichever worker looks first.
///
/// Boost's way would be the remote queue of one worker; if that one computes for long, they would
/// wait although others are idle.
/// Threads: any.
class InjectionQueue final {
public:
    void push(boost::fibers::context& context) noexcept {
        const std::lock_guard lock(lock_);
        context.ready_link(queue_);
        size_.fetch_add(1, std::memory_order_seq_cst);
    }
    void push(SessionControl& session) noexcept {
        const std::lock_guard lock(lock_);
        session.next = nullptr;
        (last_session_ != nullptr ? last_session_->next : first_session_) = &session;
        last_session_ = &session;
        size_.fetch_add(1, std::memory_order_seq_cst);
    }
    [[nodiscard]] boost::fibers::context* pop() noexcept {
        if (empty()) {
            return nullptr;
        }
        const std::lock_guard lock(lock_);
        if (queue_.empty()) {
            return nullptr;
        }
        boost::fibers::context* const context = &queue_.front();
        queue_.pop_front();
        size_.fetch_sub(1, std::memory_order_relaxed);
        return context;
    }
    [[nodiscard]] SessionControl* pop_session() noexcept {
        if (empty()) {
            return nullptr;
        }
        const std::lock_guard lock(lock_);
        SessionControl* const session = first_session_;
        if (session != nullptr) {
            first_session_ = session->next;
            if (first_session_ == nullptr) {
                last_session_ = nullptr;
            }
            size_.fetch_sub(1, std::memory_order_relaxed);
        }
        return session;
    }
    /// Cheap. Sequentially consistent: "sleep, then look here" must not miss "push, then look for
    /// sleepers".
    [[nodiscard]] bool empty() const noexcept { return size_.load(std::memory_order_seq_cst) == 0; }

    [[nodiscard]] std::size_t size() const noexcept {
        return size_.load(std::memory_order_relaxed);
    }

private:
    alignas(64) std::atomic<std::size_t> size_{0};
    SpinLock lock_;
    // Under lock_:
    boost::fibers::scheduler::ready_queue_type queue_;
    SessionControl* first_session_ = nullptr;
    SessionControl* last_session_ = nullptr;
};

}  // namespace coir::detail
