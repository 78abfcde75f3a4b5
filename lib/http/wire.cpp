#include "wire.hpp"

#include <algorithm>
#include <array>

#include "coir/base/syscall.hpp"
#include "coir/runtime/this_fiber.hpp"

namespace coir::http {
namespace {

// Some 100 us of work at 8 to 64 KiB each.
constexpr unsigned kTransfersInARow = 32;

}  // namespace

Deadline::Clock::duration patience(std::chrono::milliseconds timeout, std::uint64_t bytes,
                                   const ServerOptions& options) noexcept {
    using Duration = Deadline::Clock::duration;
    const std::uint64_t rate = std::max<std::uint64_t>(options.slowest_bytes_per_second, 1);
    const Duration more = saturated(std::chrono::duration<std::uint64_t>(bytes / rate));
    const Duration base = saturated(timeout);
    return base > Duration::max() - more ? Duration::max() : base + more;
}

void Wire::give_way() noexcept {
    if (++transfers_ % kTransfersInARow == 0) {
        this_fiber::yield();
    }
}

Deadline Wire::write_deadline(std::size_t bytes, Deadline deadline) const noexcept {
    return std::min(deadline,
                    Deadline::roughly_after(patience(options_.write_timeout, bytes, options_)));
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
    Result<void> written;
    if (!sent && !syscall::would_block(sent.error())) [[unlikely]] {
        written = sent.error();
    } else if (const std::size_t size = sent ? *sent : 0; size != bytes.size()) [[unlikely]] {
        written = stream_->write_all(bytes.subspan(size), write_deadline(out.size(), deadline));
    }
    out.clear();
    mark_ = kNoMark;
    failed_ = written.error();
    return written;
}

Result<void> Wire::flush_with(std::span<const std::byte> data, std::span<const std::byte> tail,
                              Deadline deadline) noexcept {
    if (failed_) {
        return failed_;
    }
    give_way();
    const std::array<std::span<const std::byte>, 3> pieces = {out.readable(), data, tail};
    const std::size_t bytes = out.size() + data.size() + tail.size();
    const auto written = stream_->write_all(pieces, write_deadline(bytes, deadline));
    out.clear();
    mark_ = kNoMark;
    failed_ = written.error();
    return written;
}

bool Wire::take_back() noexcept {
    const bool whole = mark_ != kNoMark;
    out.truncate(whole ? mark_ : 0);
    return whole;
}

}  // namespace coir::http
