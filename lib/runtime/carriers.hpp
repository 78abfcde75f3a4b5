#pragma once

#include <chrono>
#include <cstddef>
#include <system_error>
#include <vector>

#include "runtime/fiber_control.hpp"
#include "runtime/session_control.hpp"

namespace coir::detail {

/// The fibers of one worker that have no session to carry at the moment, and the sessions that wait because
/// there is no memory for another fiber.
///
/// A carrier runs the turns of whatever sessions are ready, one after the other. One that a turn suspends is a
/// fiber like any other until that turn ends; it rests where it is then. The one that rested last is taken
/// first: its stack is warm. A few rest for good, since a spawn costs more than to wake one.
///
/// Threads: its worker.
class Carriers final {
public:
    explicit Carriers(Worker& worker) : worker_(worker) { resting_.reserve(kMostResting); }
    Carriers(const Carriers&) = delete;
    Carriers& operator=(const Carriers&) = delete;

    /// Makes one if none rests, of whatever size. Throws std::system_error without memory.
    void reserve(const SessionOptions& options);
    /// A carrier that will go on with the session's next turn; null without memory for one: the
    /// session waits in here then.
    [[nodiscard]] FiberControl* take_for(SessionControl& session) noexcept;
    /// Whether the carrier's stack is what the session asks for.
    [[nodiscard]] bool suits(const FiberControl& carrier,
                             const SessionControl& session) const noexcept {
        return !(carrier.has_odd_stack || session.has_odd_stack) || has_same_size(carrier, session);
    }
    /// Whether one rests that suits the session and can be switched to: not the running fiber, which may be about to rest.
    [[nodiscard]] bool has_one_for(const SessionControl& session) const noexcept;
    /// The first of the sessions that wait for want of memory; null if none does.
    [[nodiscard]] SessionControl* first_waiting() const noexcept { return first_waiting_; }
    [[nodiscard]] SessionControl* take_waiting() noexcept;
    /// The same, if there may be a fiber for it by now. A failure costs some system calls, so one is tried every kPause.
    [[nodiscard]] SessionControl* take_for_another_try() noexcept;
    static constexpr std::chrono::milliseconds kPause{10};

    /// Called by a carrier that has nothing to do: suspends it until it has a session. Null: it is to end.
    [[nodiscard]] SessionControl* rest(FiberControl& carrier) noexcept;
    /// The worker is about to end. Makes the carriers that rest ready, so that they end; says whether
    /// some have not ended yet.
    [[nodiscard]] bool end_all() noexcept;
    /// Called by a carrier that ends.
    void has_ended(FiberControl& carrier) noexcept;

private:
    static constexpr std::size_t kMostResting = 16;

    [[nodiscard]] FiberControl* make(const SessionOptions& options,
                                     std::error_code& error) noexcept;
    [[nodiscard]] FiberControl* take_resting(const SessionControl& session) noexcept;
    [[nodiscard]] bool has_same_size(const FiberControl& carrier,
                                     const SessionControl& session) const noexcept;
    void let_end(FiberControl& carrier) noexcept;

    Worker& worker_;
    std::vector<FiberControl*> resting_;  // the last one in is the warmest; never reallocates
    std::size_t ending_ = 0;              // that have been told to and have not yet
    SessionControl* first_waiting_ = nullptr;
    SessionControl* last_waiting_ = nullptr;
    std::chrono::steady_clock::time_point next_try_{};  // to make one
};

}  // namespace coir::detail
