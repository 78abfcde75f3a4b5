#include "coir/runtime/select.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <thread>

#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/io_state.hpp"
#include "runtime/task.hpp"
#include "runtime/waiter.hpp"
#include "runtime/worker.hpp"

namespace coir::detail {
namespace {

/// What lies in a slot for a selection.
struct SelectWaiter final : ForeignWaiter {
    explicit SelectWaiter(Selection& its_selection) noexcept
        : ForeignWaiter(tell), selection(&its_selection) {}

    static void tell(ForeignWaiter& waiter, Worker*) noexcept {
        auto& self = static_cast<SelectWaiter&>(waiter);
        self.selection->parker.unpark();
        self.is_told.store(true, std::memory_order_release);  // pairs with SlotArm::withdraw()
    }

    Selection* const selection;
    // The last thing that a waker writes here.
    std::atomic<bool> is_told{false};
};

SelectWaiter& waiter_in(std::byte* place) noexcept {
    return *std::launder(reinterpret_cast<SelectWaiter*>(place));
}

/// Tries the arms from `first` on; gives all.size() if none can be completed.
std::size_t try_all(std::span<SelectArm* const> arms, std::size_t first) {
    for (std::size_t i = 0; i != arms.size(); ++i) {
        const std::size_t index = (first + i) % arms.size();
        if (arms[index]->try_now()) {
            return index;
        }
    }
    return arms.size();
}

/// Enrolls all arms, waits, and withdraws them. `told` says which arms owe something then.
class Round final {
public:
    Round(std::span<SelectArm* const> arms, std::span<bool> told) noexcept
        : arms_(arms), told_(told) {}
    /// Hands on what has been told to arms other than the chosen one.
    ~Round() {
        for (std::size_t i = 0; i != enrolled_; ++i) {
            if (told_[i] && i != chosen_) {
                arms_[i]->pass_on();
            }
        }
    }
    Round(const Round&) = delete;
    Round& operator=(const Round&) = delete;

    [[nodiscard]] Result<void> wait(Selection& selection) {
        struct Withdraw {
            Round& round;
            Selection& selection;
            ~Withdraw() { round.withdraw(selection); }
        } guard{*this, selection};
        for (SelectArm* const arm : arms_) {
            if (arm->enroll(selection)) {
                return {};
            }
            ++enrolled_;
        }
        return selection.parker.park_for("one of several (select)", selection.deadline);
    }
    void choose(std::size_t arm) noexcept { chosen_ = arm; }

private:
    void withdraw(Selection& selection) noexcept {
        for (std::size_t i = 0; i != enrolled_; ++i) {
            told_[i] = arms_[i]->withdraw();
        }
        // Who tells the selection may not be done with it: a few instructions.
        while (selection.wakers.load(std::memory_order_acquire) != 0) {
            std::this_thread::yield();
        }
    }

    const std::span<SelectArm* const> arms_;
    const std::span<bool> told_;
    std::size_t enrolled_ = 0;
    std::size_t chosen_ = std::numeric_limits<std::size_t>::max();
};

}  // namespace

Result<std::size_t> select_among(std::span<SelectArm* const> arms, Deadline deadline) {
    COIR_CHECK(arms.size() <= kMostSelectArms);
    if (must_stop()) {
        return std::errc::operation_canceled;
    }
    const std::size_t first = this_task().selects++ % arms.size();
    if (const std::size_t ready = try_all(arms, first); ready != arms.size()) {
        return ready;
    }
    std::array<bool, kMostSelectArms> told_space;
    const std::span<bool> told(told_space.data(), arms.size());
    for (;;) {
        Selection selection;
        selection.deadline = deadline;
        Round round(arms, told);
        const Result<void> waited = round.wait(selection);
        if (SelectArm* const completed = selection.completed.load(std::memory_order_acquire)) {
            const auto index =
                static_cast<std::size_t>(std::ranges::find(arms, completed) - arms.begin());
            round.choose(index);
            return index;
        }
        if (!waited && waited.error() == std::errc::operation_canceled) {
            return waited.error();
        }
        if (const std::size_t ready = try_all(arms, first); ready != arms.size()) {
            round.choose(ready);
            return ready;
        }
        if (!waited) {
            return waited.error();
        }
        // Somebody else was faster.
    }
}

bool SlotArm::enroll(std::atomic<std::uintptr_t>& slot, Selection& selection) noexcept {
    static_assert(sizeof(SelectWaiter) <= sizeof waiter_ && alignof(SelectWaiter) <= 8);
    auto* const waiter = ::new (static_cast<void*>(waiter_)) SelectWaiter(selection);
    std::uintptr_t held = kSlotEmpty;
    slot_ = &slot;
    // pairs with claim(): whoever takes the waiter out sees all of it
    if (slot.compare_exchange_strong(held,
                                     reinterpret_cast<std::uintptr_t>(static_cast<Waiter*>(waiter)),
                                     std::memory_order_seq_cst)) {
        return false;
    }
    COIR_CHECK(!holds_waiter(held));  // another arm, or somebody else, waits here
    return true;
}

bool SlotArm::withdraw() noexcept {
    SelectWaiter& waiter = waiter_in(waiter_);
    const auto address = reinterpret_cast<std::uintptr_t>(static_cast<Waiter*>(&waiter));
    while (!waiter.is_told.load(std::memory_order_acquire)) {  // pairs with tell()
        auto held = address;
        if (slot_->compare_exchange_strong(held, kSlotEmpty, std::memory_order_acq_rel)) {
            return false;
        }
        // Whoever has taken it out will tell, or put it back: see DeadlineWheel::expire().
        std::this_thread::yield();
    }
    return true;
}

bool JoinArmBase::enroll(Selection& selection) {
    return waiting_.enroll(completion_.slot_, selection);
}

bool DeadlineArmBase::enroll(Selection& selection) {
    selection.deadline = std::min(selection.deadline, deadline_);
    return false;
}

bool IoArmBase::try_now() {
    if (!outcome_) {
        outcome_ = source_.try_wait(static_cast<int>(direction_));
    }
    return outcome_.has_value();
}

bool IoArmBase::enroll(Selection& selection) {
    const auto slot = source_.prepare_wait(static_cast<int>(direction_), Deadline::never());
    if (!slot) {
        outcome_ = slot.error();
        return true;
    }
    if (*slot == nullptr) {
        outcome_ = Result<void>();
        return true;
    }
    return waiting_.enroll(**slot, selection);
}

bool IoArmBase::withdraw() noexcept {
    const bool told = waiting_.withdraw();
    if (told) {
        outcome_ =
            source_.is_canceled() ? Result<void>(std::errc::operation_canceled) : Result<void>();
    }
    return told;
}

void IoArmBase::pass_on() noexcept {
    outcome_.reset();
    source_.restore_readiness(static_cast<int>(direction_));
}

}  // namespace coir::detail
