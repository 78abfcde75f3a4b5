#include "coir/net/connect.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "coir/base/spin_lock.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/scope.hpp"
#include "coir/runtime/stop_requests.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/attempt_order.hpp"

namespace coir::net {
namespace {

using Clock = Deadline::Clock;

constexpr std::chrono::milliseconds kLeastDelay{10};

/// What the attempts and the fiber that started them have in common.
class Race final {
public:
    void report(Result<TcpStream> outcome) noexcept {
        {
            const std::lock_guard lock(lock_);
            if (!outcome) {
                ++failures_;
                failure_ = more_telling(failure_, outcome.error());
            } else if (!winner_) {
                winner_ = *std::move(outcome);
            }
        }
        changed_.unpark();
    }

    [[nodiscard]] Result<void> await_change(Deadline deadline) noexcept {
        return changed_.park_for("a connect", deadline);
    }
    [[nodiscard]] std::optional<TcpStream> take_winner() noexcept {
        const std::lock_guard lock(lock_);
        return std::exchange(winner_, std::nullopt);
    }
    [[nodiscard]] std::size_t failures() const noexcept {
        const std::lock_guard lock(lock_);
        return failures_;
    }
    [[nodiscard]] std::error_code failure() const noexcept {
        const std::lock_guard lock(lock_);
        return failure_;
    }

private:
    mutable coir::detail::SpinLock lock_;
    std::optional<TcpStream> winner_;
    std::error_code failure_;
    std::size_t failures_ = 0;
    Parker changed_;
};

Result<TcpStream> connect_side_by_side(std::span<const SocketAddress> addresses, Deadline deadline,
                                       std::chrono::milliseconds delay) {
    Race race;
    Scope
        attempts;  // ends first: it stops the losers, and waits until they have closed their sockets
    std::size_t begun = 0;
    std::size_t made_up_for = 0;  // failures after which the next attempt has begun at once
    Deadline next = Deadline::at(Clock::now());
    for (;;) {
        if (auto winner = race.take_winner()) {
            return *std::move(winner);
        }
        const std::size_t failures = race.failures();
        if (failures == addresses.size()) {
            // The attempts stop with this fiber, and then their failures say nothing of the addresses.
            return coir::detail::must_stop() ? std::make_error_code(std::errc::operation_canceled)
                                             : race.failure();
        }
        const bool is_last = begun == addresses.size();
        if (!is_last && (failures > made_up_for || next.has_passed(Clock::now()))) {
            made_up_for = std::min(made_up_for + 1, failures);
            attempts.spawn([&race, &address = addresses[begun], deadline] {
                race.report(TcpStream::connect(address, deadline));
            });
            ++begun;
            next = Deadline::after(delay);
            continue;
        }
        const Deadline until = is_last ? deadline : std::min(deadline, next);
        if (const auto changed = race.await_change(until); !changed) {
            const bool is_turn_of_next = changed.error() == std::errc::timed_out && !is_last &&
                                         next < deadline && next.has_passed(Clock::now());
            if (!is_turn_of_next) {
                return changed.error();
            }
        }
    }
}

Result<TcpStream> connect_one_by_one(std::span<const SocketAddress> addresses,
                                     Deadline deadline) noexcept {
    std::error_code failure;
    for (std::size_t left = addresses.size(); left != 0; --left) {
        const auto now = Clock::now();
        const Deadline share =
            deadline.is_never() || deadline.has_passed(now)
                ? deadline
                : Deadline::at(now + (deadline.time_point() - now) / static_cast<int>(left));
        auto stream = TcpStream::connect(addresses[addresses.size() - left], share);
        if (stream) {
            return stream;
        }
        failure = more_telling(failure, stream.error());
    }
    return failure;
}

}  // namespace

Result<TcpStream> connect(std::span<const SocketAddress> addresses, Deadline deadline,
                          const HappyEyeballsOptions& options) {
    const auto ordered = in_turns(addresses, options.max_addresses);
    if (ordered.empty()) {
        return std::errc::destination_address_required;
    }
    if (ordered.size() == 1) {
        return TcpStream::connect(ordered.front(), deadline);
    }
    if (this_fiber::id() == 0) {
        return connect_one_by_one(ordered, deadline);
    }
    return connect_side_by_side(ordered, deadline, std::max(options.attempt_delay, kLeastDelay));
}

Result<TcpStream> connect(std::string_view host, std::uint16_t port, Deadline deadline,
                          const HappyEyeballsOptions& options) {
    COIR_TRY(const auto addresses, resolve(host, port, deadline, options.resolve));
    return connect(addresses, deadline, options);
}

}  // namespace coir::net
