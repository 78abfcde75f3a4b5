#include "wire.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "coir/base/error.hpp"
#include "coir/base/syscall.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/runtime/time_limit.hpp"

namespace coir::http {
namespace {

// Of a file that is being sent.
bool is_files_own(std::error_code error) noexcept {
    return error == Errc::unexpected_eof || error == std::errc::invalid_argument ||
           error == std::errc::invalid_seek || error == std::errc::is_a_directory ||
           error == std::errc::io_error;
}

}  // namespace

void Wire::let_others_run() noexcept {
    this_fiber::yield();
    work_ = 0;
}

void Wire::send_and_give_way() noexcept {
    (void)flush(Deadline::roughly_after({}));
    let_others_run();
}

bool Wire::is_callers_own(std::error_code error, Deadline servers) const noexcept {
    return (error == std::errc::timed_out && !servers.has_passed(Deadline::Clock::now())) ||
           (error == std::errc::operation_canceled && stream_->is_open());
}

void Wire::has_taken(std::size_t bytes) noexcept {
    mark_ = mark_ != kNoMark && bytes <= mark_ ? mark_ - bytes : kNoMark;
    out.consume(bytes);
}

// Calls `send(sent, deadline)` until it ends for another reason than the server's patience with a client
// that still takes something. `sent` is what the kernel has taken, also after an error.
template <typename Send>
Result<void> Wire::send_patiently(Deadline deadline, Send send) noexcept {
    // What the kernel held at the last look. The socket is writable again only when much of that is
    // gone, so a slow client is seen by how it takes it. The first look comes half-way.
    std::optional<std::size_t> held;
    for (;;) {
        const auto begun = coarse_now();
        const Deadline servers =
            Deadline::roughly_after(held ? patience_.left() : patience_.left() / 2);
        std::size_t sent = 0;
        TimeLimit& handlers = TimeLimit::current();  // this is the client's time
        const auto limit = handlers.lift();
        const Result<void> outcome = send(sent, std::min(deadline, servers));
        const auto waited = coarse_now() - begun;
        handlers.restore(limit, waited);
        patience_.spend(waited);
        if (outcome) {
            patience_.earn(sent);
            return outcome;
        }
        if (is_callers_own(outcome.error(), servers) || is_files_own(outcome.error())) {
            return outcome;
        }
        const auto holds = stream_->unconfirmed_bytes();
        if (outcome.error() != std::errc::timed_out || !holds) {
            failed_ = outcome.error();
            return outcome;
        }
        if (*holds == 0) {
            patience_.renew();  // it has taken all there was: it is not who is slow
        } else if (held) {
            patience_.earn(*held + sent - std::min(*held + sent, *holds));
        }
        held = *holds;
        if (patience_.is_over()) {
            failed_ = outcome.error();
            return outcome;
        }
    }
}

Result<void> Wire::flush(Deadline deadline) noexcept {
    if (failed_) {
        return failed_;
    }
    if (out.empty()) {
        return {};
    }
    // Nearly always the kernel takes it all at once: the deadline, a look at the clock, comes after.
    const std::span<const std::byte> bytes = out.readable();
    const auto sent = stream_->try_write_some(bytes);
    if (sent && *sent == bytes.size()) [[likely]] {
        out.clear();
        mark_ = kNoMark;
        return {};
    }
    return flush_rest(sent, deadline);
}

Result<void> Wire::flush_rest(Result<std::size_t> sent, Deadline deadline) noexcept {
    Result<void> outcome;
    if (sent || syscall::would_block(sent.error())) {
        has_taken(sent ? *sent : 0);
        outcome = send_patiently(deadline, [this](std::size_t& taken, Deadline end) {
            const auto written = stream_->write_all(out.readable(), taken, end);
            has_taken(taken);
            return written;
        });
    } else {
        failed_ = sent.error();
        outcome = failed_;
    }
    if (failed_) {
        out.clear();
        mark_ = kNoMark;
    }
    return outcome;
}

Result<void> Wire::flush_with(std::span<const std::byte> data, std::span<const std::byte> tail,
                              Deadline deadline) noexcept {
    if (failed_) {
        return failed_;
    }
    give_way();
    const Result<void> outcome = send_patiently(deadline, [&](std::size_t& taken, Deadline end) {
        const std::array<std::span<const std::byte>, 3> pieces = {out.readable(), data, tail};
        const auto written = stream_->write_all(pieces, taken, end);
        std::size_t left = taken;
        const auto part_of = [&left](std::size_t size) {
            const std::size_t part = std::min(left, size);
            left -= part;
            return part;
        };
        has_taken(part_of(out.size()));
        data = data.subspan(part_of(data.size()));
        tail = tail.subspan(part_of(tail.size()));
        return written;
    });
    if (outcome || failed_) {
        out.clear();
        mark_ = kNoMark;
    }
    return outcome;
}

Result<void> Wire::send_file(int file, std::uint64_t offset, std::uint64_t bytes,
                             Deadline deadline) noexcept {
    static_assert(sizeof(std::size_t) == sizeof bytes);
    if (const auto flushed = flush(deadline); !flushed) {
        return flushed;
    }
    return send_patiently(deadline, [&](std::size_t& taken, Deadline end) {
        const auto sent = stream_->send_file(file, offset, bytes, taken, end);
        offset += taken;
        bytes -= taken;
        return sent;
    });
}

bool Wire::take_back() noexcept {
    const bool whole = mark_ != kNoMark;
    out.truncate(whole ? mark_ : 0);
    return whole;
}

}  // namespace coir::http
