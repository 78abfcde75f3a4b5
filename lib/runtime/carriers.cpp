#include "runtime/carriers.hpp"

#include <algorithm>
#include <mutex>
#include <new>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "runtime/core.hpp"
#include "runtime/fiber_launch.hpp"
#include "runtime/fiber_plate.hpp"
#include "runtime/session_turns.hpp"

namespace coir::detail {
namespace {

/// In the storage of a carrier's fiber.
struct Carried {
    SessionControl* next = nullptr;  // null: it is to end
};

Carried& carried_by(FiberControl& carrier) noexcept {
    return *std::launder(static_cast<Carried*>(carrier.storage));
}

// Not `stack = ...` in a `try`: where that throws, GCC 12 takes what lies there for the stack (-O3, LTO).
StackRegion take_stack(Worker& worker, std::size_t bytes, std::error_code& error) noexcept {
    try {
        return worker.core().take_stack(&worker, bytes, error);
    } catch (...) {
        error = std::make_error_code(std::errc::not_enough_memory);
        return {};
    }
}

/// For reports. Those of one class are taken to have one name.
void name_after(FiberControl& carrier, const SessionControl& session) noexcept {
    const std::lock_guard lock(FiberPlate::of(carrier.stack));  // nobody reads it meanwhile
    carrier.set_name(session.options.name);
    carrier.site = session.options.site;
    carrier.named_for = session.type;
}

void run_carrier(void* storage) noexcept {
    auto& carried = *std::launder(static_cast<Carried*>(storage));
    FiberControl& carrier = Worker::current()->running_fiber();
    SessionControl* session = carried.next;
    while (session != nullptr) {
        do {
            if (carrier.named_for != session->type) [[unlikely]] {
                name_after(carrier, *session);
            }
            run_turns(*session, carrier);
            // A turn may have come to another worker.
            session = Worker::current()->scheduler().next_session(carrier);
        } while (session != nullptr);
        session = Worker::current()->carriers().rest(carrier);
    }
    Worker::current()->carriers().has_ended(carrier);
}

}  // namespace

FiberControl* Carriers::make(const SessionOptions& options, std::error_code& error) noexcept {
    RuntimeCore& core = worker_.core();
    const StackRegion stack = take_stack(worker_, options.stack_bytes, error);
    if (!stack) {
        return nullptr;
    }
    FiberControl* const carrier = lay_out_fiber(core, stack, sizeof(Carried));
    COIR_ASSERT(carrier != nullptr);  // a word is not too much for any stack
    ::new (carrier->storage) Carried;
    carrier->id = worker_.next_fiber_id();
    carrier->site = options.site;
    carrier->set_name(options.name);  // that a sanitizer is told; in a turn it is the session's
    carrier->is_carrier = true;
    carrier->has_odd_stack = options.stack_bytes != 0;
    carrier->entry = run_carrier;
    make_startable(*carrier);
    return carrier;
}

void Carriers::reserve(const SessionOptions& options) {
    if (!resting_.empty()) {
        return;
    }
    std::error_code error;
    FiberControl* const carrier = make(options, error);
    if (carrier == nullptr) {
        throw std::system_error(error, "coir::start_session: no memory for a stack");
    }
    resting_.push_back(carrier);
}

bool Carriers::has_same_size(const FiberControl& carrier,
                             const SessionControl& session) const noexcept {
    return carrier.stack.usable_bytes ==
           worker_.core().usable_stack_bytes(session.options.stack_bytes);
}

bool Carriers::has_one_for(const SessionControl& session) const noexcept {
    const FiberControl* const leaving = &worker_.running_fiber();
    return std::any_of(resting_.begin(), resting_.end(), [&](const FiberControl* carrier) {
        return carrier != leaving && suits(*carrier, session) && !carrier->stop.is_requested();
    });
}

FiberControl* Carriers::take_resting(const SessionControl& session) noexcept {
    const FiberControl* const leaving =
        &worker_.running_fiber();  // may be about to rest: no switch to it
    for (std::size_t i = resting_.size(); i-- != 0;) {
        FiberControl* const carrier = resting_[i];
        if (carrier == leaving) {
            continue;
        }
        if (carrier->stop.is_requested()) [[unlikely]] {
            resting_.erase(resting_.begin() + static_cast<std::ptrdiff_t>(i));
            let_end(*carrier);  // it would end the waits of turns that nobody has asked to stop
        } else if (suits(*carrier, session)) [[likely]] {
            resting_.erase(resting_.begin() + static_cast<std::ptrdiff_t>(i));
            return carrier;
        }
    }
    return nullptr;
}

FiberControl* Carriers::take_for(SessionControl& session) noexcept {
    FiberControl* carrier = take_resting(session);
    if (carrier == nullptr && coarse_now() >= next_try_) {
        std::error_code error;
        carrier = make(session.options, error);
        if (carrier == nullptr) {
            next_try_ = coarse_now() + kPause;
        }
    }
    if (carrier == nullptr) {
        session.next = nullptr;
        (last_waiting_ != nullptr ? last_waiting_->next : first_waiting_) = &session;
        last_waiting_ = &session;
        return nullptr;
    }
    carried_by(*carrier).next = &session;
    return carrier;
}

SessionControl* Carriers::take_for_another_try() noexcept {
    const bool pays = !resting_.empty() || coarse_now() >= next_try_;
    return first_waiting_ != nullptr && pays ? take_waiting() : nullptr;
}

SessionControl* Carriers::take_waiting() noexcept {
    SessionControl* const session = first_waiting_;
    if (session != nullptr) {
        first_waiting_ = session->next;
        if (first_waiting_ == nullptr) {
            last_waiting_ = nullptr;
        }
    }
    return session;
}

SessionControl* Carriers::rest(FiberControl& carrier) noexcept {
    if (carrier.stop.is_requested()) {
        return nullptr;
    }
    if (resting_.size() == kMostResting) {
        // Of one size there are enough; but the first may be of another that nobody needs any more.
        FiberControl* const first = resting_.front();
        if (first->stack.usable_bytes == carrier.stack.usable_bytes) {
            return nullptr;
        }
        resting_.erase(resting_.begin());
        let_end(*first);
    }
    Carried& carried = carried_by(carrier);
    carried.next = nullptr;
    resting_.push_back(&carrier);
    carrier.context()->suspend();
    return carried.next;
}

void Carriers::let_end(FiberControl& carrier) noexcept {
    ++ending_;
    carrier.is_told_to_end = true;
    carrier.pinned = true;  // no thief has it end elsewhere, where nobody counts
    worker_.scheduler().push(*carrier.context());
}

bool Carriers::end_all() noexcept {
    COIR_ASSERT(first_waiting_ == nullptr);
    while (!resting_.empty()) {
        FiberControl* const carrier = resting_.back();
        resting_.pop_back();
        let_end(*carrier);
    }
    return ending_ != 0;
}

void Carriers::has_ended(FiberControl& carrier) noexcept {
    if (carrier.is_told_to_end) {
        --ending_;
    }
}

}  // namespace coir::detail
