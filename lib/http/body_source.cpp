#include "body_source.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "coir/runtime/time_limit.hpp"
#include "response_writer.hpp"

namespace coir::http {
namespace {

constexpr std::size_t kReadBytes = 16 * 1024;

}  // namespace

void BodySource::begin_body(const RequestHead& head) noexcept {
    had_body_ = true;
    expects_continue_ = head.expects_continue;
    said_continue_ = false;
    announced_ = remaining_;
    decoded_ = 0;
    received_ = 0;
    used_ = parser_.head_bytes();
    patience_.renew();
    if (error_) {
        error_ = {};  // a call, into another library
    }
    collected_.clear();
    COIR_ASSERT(spill_.empty());
    if (!arrived().empty()) {
        expects_continue_ = false;  // it does not wait (RFC 9110, 10.1.1)
    }
}

void BodySource::finish_body() noexcept {
    COIR_ASSERT(complete_);
    had_body_ = false;
    in_.consume(used_);
    if (!spill_.empty()) {
        COIR_ASSERT(in_.empty());
        std::swap(in_, spill_);
    }
}

// Of the body and of what follows it.
std::span<std::byte> BodySource::arrived() noexcept {
    const auto bytes = used_ != in_.size() ? in_.readable().subspan(used_) : spill_.readable();
    // Our own memory: chunks are decoded where they lie.
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

void BodySource::take(std::size_t bytes) noexcept {
    if (used_ != in_.size()) {
        used_ += bytes;
    } else {
        spill_.consume(bytes);
    }
}

std::error_code BodySource::fail(std::error_code error) noexcept {
    error_ = error;
    return error;
}

// Takes `raw`, the front of what has arrived; returns how many bytes of the body it held.
Result<std::size_t> BodySource::decode(std::span<std::byte> raw, std::byte* into) noexcept {
    const auto decoded = parser_.decode_chunks(raw, into, limit_);
    if (!decoded) {
        return fail(decoded.error());
    }
    take(decoded->consumed);
    decoded_ += decoded->written;
    if (decoded_ > limit_) {  // a limit that came in the middle of a chunk
        return fail(make_error_code(Errc::body_too_large));
    }
    complete_ = decoded->complete;
    return decoded->written;
}

// Whoever waits for a client must have told it everything: a client may wait for an earlier
// response before it sends the body, or for 100 Continue.
Result<void> BodySource::before_wait(Deadline deadline) noexcept {
    if (expects_continue_) {
        expects_continue_ = false;
        try {
            response_writer::append_continue(wire_.out);
            said_continue_ = true;
        } catch (...) {
            return fail(std::make_error_code(std::errc::not_enough_memory));
        }
    }
    if (const auto flushed = wire_.flush(deadline); !flushed) {
        return wire_.error() ? fail(flushed.error()) : flushed.error();
    }
    return {};
}

Result<std::size_t> BodySource::receive(std::span<std::byte> into, Deadline deadline) noexcept {
    if (const auto ready = before_wait(deadline); !ready) {
        return ready.error();
    }
    wire_.give_way();
    const auto begun = coarse_now();
    const Deadline servers = Deadline::roughly_after(patience_.left());
    TimeLimit& handlers = TimeLimit::current();  // this is the client's time
    const auto limit = handlers.lift();
    const auto read = wire_.stream().read_some(into, std::min(deadline, servers));
    const auto waited = coarse_now() - begun;
    handlers.restore(limit, waited);
    patience_.spend(waited);
    if (!read) {
        return wire_.is_callers_own(read.error(), servers) ? read.error() : fail(read.error());
    }
    if (*read == 0) {
        return fail(make_error_code(Errc::unexpected_eof));
    }
    received_ += *read;
    patience_.earn(*read);
    return read;
}

Result<void> BodySource::receive_more(Deadline deadline) noexcept {
    COIR_ASSERT(arrived().empty());
    std::span<std::byte> room;
    try {
        room = spill_.prepare(kReadBytes);
    } catch (...) {
        return fail(std::make_error_code(std::errc::not_enough_memory));
    }
    COIR_TRY(const std::size_t size, receive(room, deadline));
    spill_.commit(size);
    return {};
}

Result<std::size_t> BodySource::read_some(std::span<std::byte> into, Deadline deadline) noexcept {
    COIR_ASSERT(!into.empty());
    for (;;) {
        if (complete_) {
            return std::size_t{0};
        }
        if (error_) {
            return error_;
        }
        const std::span<std::byte> raw = arrived();
        if (chunked_ && !raw.empty()) {
            // The decoded bytes are never more than the raw ones.
            COIR_TRY(const std::size_t size,
                     decode(raw.first(std::min(raw.size(), into.size())), into.data()));
            if (size != 0) {
                return size;
            }
        } else if (!chunked_) {
            const auto wanted =
                static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, into.size()));
            std::size_t size = std::min(wanted, raw.size());
            if (size != 0) {
                std::memcpy(into.data(), raw.data(), size);
                take(size);
            } else if (wanted >= kReadBytes / 4 || wanted == remaining_) {
                // Straight to where it is wanted, and no further than the body goes.
                COIR_TRY(size, receive(into.first(wanted), deadline));
            } else if (const auto more = receive_more(deadline); !more) {
                return more.error();
            }
            if (size != 0) {
                remaining_ -= size;
                complete_ = remaining_ == 0;
                return size;
            }
        } else if (const auto more = receive_more(deadline); !more) {
            return more.error();
        }
    }
}

Result<std::string_view> BodySource::read_all(std::size_t max_bytes, Deadline deadline) {
    if (complete_) {
        return std::string_view();
    }
    if (error_) {
        return error_;
    }
    if (!chunked_ && remaining_ > max_bytes) {
        return fail(make_error_code(Errc::body_too_large));
    }
    if (const std::span<std::byte> raw = arrived(); !chunked_ && raw.size() >= remaining_) {
        const auto size = static_cast<std::size_t>(remaining_);
        take(size);
        remaining_ = 0;
        complete_ = true;
        return std::string_view(reinterpret_cast<const char*>(raw.data()), size);
    }
    try {
        return collect(max_bytes, deadline);
    } catch (...) {
        // What had come is lost: a second call must not take the rest for the whole.
        (void)fail(std::make_error_code(std::errc::not_enough_memory));
        throw;
    }
}

Result<std::string_view> BodySource::collect(std::size_t max_bytes, Deadline deadline) {
    collected_.clear();
    if (max_bytes < limit_ - std::min(limit_, decoded_)) {
        limit_ = decoded_ + max_bytes;  // it ends here, in one way or the other
    }
    if (const std::span<std::byte> raw = arrived(); chunked_ && !raw.empty()) {
        COIR_TRY(const std::size_t size, decode(raw, raw.data()));
        const std::string_view text(reinterpret_cast<const char*>(raw.data()), size);
        if (complete_) {
            return text;
        }
        collected_.append(text);
    }
    while (!complete_) {
        // Grows with what has come, not with what the client promises.
        std::size_t room = std::clamp<std::size_t>(max_bytes - collected_.size(), 1,
                                                   std::max(collected_.size(), kReadBytes));
        if (!chunked_) {
            room = static_cast<std::size_t>(std::min<std::uint64_t>(room, remaining_));
        }
        const auto size = read_some(collected_.prepare(room), deadline);
        if (!size) {
            return fail(size.error());  // a timeout of the caller too: what has come is lost
        }
        collected_.commit(*size);
    }
    return collected_.as_text();
}

bool BodySource::drain() noexcept {
    std::size_t drained = 0;
    while (!complete_) {
        if (!can_be_drained()) {
            return false;
        }
        std::span<std::byte> raw = arrived();
        if (raw.empty()) {
            if (!receive_more(Deadline::never())) {
                return false;
            }
            raw = arrived();
        }
        drained += raw.size();
        if (chunked_) {
            if (!decode(raw, nullptr) || drained > wire_.options().max_drained_bytes) {
                return false;
            }
        } else {
            const auto size =
                static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, raw.size()));
            take(size);
            remaining_ -= size;
            complete_ = remaining_ == 0;
        }
    }
    return true;
}

std::optional<std::uint64_t> BodySource::content_length() const noexcept {
    if (chunked_) {
        return std::nullopt;
    }
    return had_body_ ? announced_ : 0;
}

void BodySource::reset() noexcept {
    had_body_ = false;
    chunked_ = false;
    complete_ = true;
    expects_continue_ = false;
    error_ = {};
    for (Buffer* buffer : {&in_, &spill_, &collected_, &wire_.out}) {
        buffer->clear();
        if (buffer->capacity() > kKeptBytes) {
            *buffer = Buffer();
        }
    }
}

}  // namespace coir::http
