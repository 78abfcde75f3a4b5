#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/io_source.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/spawn.hpp"

namespace coir {

namespace detail {

class SelectArm;

/// One wait for several things, in the frame of select().
struct Selection {
    Parker parker;
    // Those who have completed an arm of this, and are not done with it.
    std::atomic<std::uint32_t> wakers{0};
    // The arm that somebody else has completed, while all were enrolled; null until then. Only the first
    // may be: who wants to do that sets this by compare-exchange, under the lock under which the arm is
    // withdrawn, counts itself in `wakers`, and unparks.
    std::atomic<SelectArm*> completed{nullptr};
    Deadline deadline = Deadline::never();
};

/// One thing that select() can wait for. All calls come from the selecting fiber or thread.
class SelectArm {
public:
    SelectArm() noexcept = default;
    SelectArm(const SelectArm&) = delete;
    SelectArm& operator=(const SelectArm&) = delete;

    /// Completes the arm if that is possible without waiting.
    [[nodiscard]] virtual bool try_now() = 0;
    /// From now on tells the selection when to try again, or lets somebody else complete the arm. True if
    /// it is to try again now: nothing is enrolled then.
    [[nodiscard]] virtual bool enroll(Selection& selection) = 0;
    /// Undoes enroll(). True if the selection had been told: the arm owes that to others, until it is
    /// completed or passes it on.
    [[nodiscard]] virtual bool withdraw() noexcept = 0;
    /// Tells the next one who waits for the same.
    virtual void pass_on() noexcept = 0;
    /// Calls the handler. Requires: completed.
    virtual void finish() = 0;

protected:
    ~SelectArm() = default;
};

inline constexpr std::size_t kMostSelectArms = 64;

/// The index of the arm that has been completed. Errors: timed_out, operation_canceled.
/// Requires: at most kMostSelectArms, in all builds.
[[nodiscard]] Result<std::size_t> select_among(std::span<SelectArm* const> arms, Deadline deadline);

/// The part of the arms that wait in a slot.
class SlotArm {
public:
    /// True if the slot holds something else than nothing, which is left there.
    [[nodiscard]] bool enroll(std::atomic<std::uintptr_t>& slot, Selection& selection) noexcept;
    [[nodiscard]] bool withdraw() noexcept;

private:
    std::atomic<std::uintptr_t>* slot_ = nullptr;
    // Its detail::SelectWaiter.
    alignas(8) std::byte waiter_[48];
};

class JoinArmBase : public SelectArm {
public:
    [[nodiscard]] bool try_now() final { return completion_.is_complete(); }
    [[nodiscard]] bool enroll(Selection& selection) final;
    [[nodiscard]] bool withdraw() noexcept final { return waiting_.withdraw(); }
    void pass_on() noexcept final {}

protected:
    explicit JoinArmBase(Completion& completion) noexcept : completion_(completion) {}
    ~JoinArmBase() = default;

private:
    Completion& completion_;
    SlotArm waiting_;
};

class IoArmBase : public SelectArm {
public:
    enum class Direction : std::uint8_t { reading, writing };

    [[nodiscard]] bool try_now() final;
    [[nodiscard]] bool enroll(Selection& selection) final;
    [[nodiscard]] bool withdraw() noexcept final;
    void pass_on() noexcept final;

protected:
    IoArmBase(IoSource& source, Direction direction) noexcept
        : source_(source), direction_(direction) {}
    ~IoArmBase() = default;
    [[nodiscard]] Result<void> take_outcome() noexcept {
        return *std::exchange(outcome_, std::nullopt);
    }

private:
    IoSource& source_;
    const Direction direction_;
    std::optional<Result<void>> outcome_;
    SlotArm waiting_;
};

class DeadlineArmBase : public SelectArm {
public:
    [[nodiscard]] bool try_now() final { return deadline_.has_passed(Deadline::Clock::now()); }
    [[nodiscard]] bool enroll(Selection& selection) final;
    [[nodiscard]] bool withdraw() noexcept final { return false; }
    void pass_on() noexcept final {}

protected:
    explicit DeadlineArmBase(Deadline deadline) noexcept : deadline_(deadline) {}
    ~DeadlineArmBase() = default;

private:
    const Deadline deadline_;
};

struct NoHandler {
    template <typename... Args>
    void operator()(Args&&...) const noexcept {}
};

template <typename Handler>
class JoinArm final : public JoinArmBase {
public:
    JoinArm(Completion& completion, Handler handler)
        : JoinArmBase(completion), handler_(std::move(handler)) {}
    void finish() override { std::invoke(handler_); }

private:
    Handler handler_;
};

template <typename Handler>
class IoArm final : public IoArmBase {
public:
    IoArm(IoSource& source, Direction direction, Handler handler)
        : IoArmBase(source, direction), handler_(std::move(handler)) {}
    void finish() override { std::invoke(handler_, take_outcome()); }

private:
    Handler handler_;
};

template <typename Handler>
class DeadlineArm final : public DeadlineArmBase {
public:
    DeadlineArm(Deadline deadline, Handler handler)
        : DeadlineArmBase(deadline), handler_(std::move(handler)) {}
    void finish() override { std::invoke(handler_); }

private:
    Handler handler_;
};

}  // namespace detail

/// The arm that is completed when the fiber of `handle` has ended; `handler()` can join it at once.
/// Requires: the handle outlives the select, and nobody else joins it meanwhile.
template <typename Handle, typename Handler = detail::NoHandler>
[[nodiscard]] auto on_join(Handle& handle, Handler handler = {}) {
    return detail::JoinArm<Handler>(handle.completion(), std::move(handler));
}

/// The arm that is completed when wait_readable() of `source` would return; `handler(Result<void>)` gets
/// what it would return. Like that it may be spurious.
/// Threads: as wait_readable(); not on a plain thread (Errc::not_a_fiber).
template <typename Handler = detail::NoHandler>
[[nodiscard]] auto on_readable(IoSource& source, Handler handler = {}) {
    return detail::IoArm<Handler>(source, detail::IoArmBase::Direction::reading,
                                  std::move(handler));
}
/// The same for wait_writable().
template <typename Handler = detail::NoHandler>
[[nodiscard]] auto on_writable(IoSource& source, Handler handler = {}) {
    return detail::IoArm<Handler>(source, detail::IoArmBase::Direction::writing,
                                  std::move(handler));
}

/// The arm that is completed when `deadline` has passed, which is no error of the select.
template <typename Handler = detail::NoHandler>
[[nodiscard]] auto on_deadline(Deadline deadline, Handler handler = {}) {
    return detail::DeadlineArm<Handler>(deadline, std::move(handler));
}

/// Waits until one of several things can be done, does it and calls its handler (Go's select).
///
///     select(on_receive(jobs, [&](Result<Job> job) { ... }),
///            on_readable(source, [&](Result<void> ready) { ... }),
///            on_join(helper), on_deadline(Deadline::after(1s), [&] { ... }));
///
/// Exactly one arm is completed; of the others nothing is taken and nothing is lost. If several can be, each
/// call begins with another one, so that none starves.
///
/// Requires: no two arms for the same handle, or the same direction of one source; in all builds.
/// Suspends: until an arm is completed, or `deadline`. A plain thread blocks.
/// Returns:  the index of the arm.
/// Errors:   timed_out, operation_canceled: no arm has been completed.
/// Cost:     no allocation; one short lock per arm if it has to wait.
template <typename... Arms>
requires(sizeof...(Arms) > 0 && (std::is_base_of_v<detail::SelectArm, std::remove_cvref_t<Arms>> &&
                                 ...)) Result<std::size_t> select_until(Deadline deadline,
                                                                        Arms&&... arms) {
    static_assert(sizeof...(Arms) <= detail::kMostSelectArms);
    const std::array<detail::SelectArm*, sizeof...(Arms)> all{&arms...};
    auto chosen = detail::select_among(all, deadline);
    if (chosen) {
        all[*chosen]->finish();
    }
    return chosen;
}
template <typename... Arms>
requires(sizeof...(Arms) > 0 && (std::is_base_of_v<detail::SelectArm, std::remove_cvref_t<Arms>> &&
                                 ...)) Result<std::size_t> select(Arms&&... arms) {
    return select_until(Deadline::never(), std::forward<Arms>(arms)...);
}

}  // namespace coir
