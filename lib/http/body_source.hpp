#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include "coir/base/buffer.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/http/request.hpp"
#include "patience.hpp"
#include "request_parser.hpp"
#include "wire.hpp"

namespace coir::http {

/// Where the body of a request comes from: first what has arrived behind the head in `in`, then the
/// socket.
///
/// The problem: the handler holds views of the head, so `in` must stay as it is while a body of any
/// size goes by. Bytes that come later go into a second buffer, `spill`. When the body ends there,
/// all of `in` has been used, and the two change places.
class BodySource final {
public:
    BodySource(Wire& wire, Buffer& in, RequestParser& parser) noexcept
        : wire_(wire),
          in_(in),
          parser_(parser),
          patience_(wire.options().body_timeout, wire.options().slowest_bytes_per_second) {}

    /// The head of a request is complete at the front of `in`; its body begins behind.
    void begin(const RequestHead& head) noexcept {
        chunked_ = head.chunked;
        remaining_ = head.content_length.value_or(0);
        complete_ = !chunked_ && remaining_ == 0;
        if (!complete_) [[unlikely]] {
            begin_body(head);
        }
    }
    /// The body may have so many bytes. False if it says that it has more. Requires: !is_complete(), and
    /// nothing has been read.
    [[nodiscard]] bool limit(std::uint64_t max_bytes) noexcept {
        limit_ = max_bytes;
        return remaining_ <= max_bytes;
    }
    /// The request is over: takes it out of `in`. Requires: is_complete().
    void finish() noexcept {
        if (had_body_) [[unlikely]] {
            finish_body();
        } else {
            in_.consume(parser_.head_bytes());
        }
        parser_.reset();
    }

    [[nodiscard]] Result<std::size_t> read_some(std::span<std::byte> into,
                                                Deadline deadline) noexcept;
    [[nodiscard]] Result<std::string_view> read_all(std::size_t max_bytes, Deadline deadline);
    /// What read_all() may keep in memory unless it is told.
    [[nodiscard]] std::size_t default_bound() const noexcept {
        return wire_.options().max_body_bytes;
    }

    /// Whether the rest of the body may be read and dropped to save the connection: it is not too
    /// long, and the client is sending it.
    [[nodiscard]] bool can_be_drained() const noexcept {
        return complete_ || (!expects_continue_ && could_be_drained());
    }
    /// The same, once the client is told to go on.
    [[nodiscard]] bool could_be_drained() const noexcept {
        return complete_ ||
               (!error_ && (chunked_ || remaining_ <= wire_.options().max_drained_bytes));
    }
    /// Reads and drops it. False if that failed, or may not be.
    /// Suspends: until the body ends, or the server's body_timeout.
    [[nodiscard]] bool drain() noexcept;

    [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept;
    [[nodiscard]] bool is_complete() const noexcept { return complete_; }
    /// What came behind it, once it is complete. The views live until finish().
    [[nodiscard]] Headers trailers() const noexcept {
        return chunked_ && complete_ ? parser_.trailers() : Headers();
    }
    /// Whether the handler has had something of it.
    [[nodiscard]] bool is_being_read() const noexcept {
        return !complete_ && !error_ && used_ + received_ != parser_.head_bytes();
    }
    [[nodiscard]] std::error_code error() const noexcept { return error_; }
    /// Whether the client has been told to go on.
    [[nodiscard]] bool has_said_continue() const noexcept { return had_body_ && said_continue_; }
    /// The final response has begun: too late for 100 Continue.
    void forget_continue() noexcept { expects_continue_ = false; }

    /// Whether the buffers hold more memory than an ordinary request needs.
    [[nodiscard]] bool has_grown() const noexcept {
        return in_.capacity() > kKeptBytes || wire_.out.capacity() > kKeptBytes ||
               spill_.capacity() + collected_.capacity() > kKeptBytes;
    }
    /// For the next connection: forgets everything, and gives memory over what an ordinary request
    /// needs back.
    void reset() noexcept;

private:
    void begin_body(const RequestHead& head) noexcept;
    void finish_body() noexcept;
    [[nodiscard]] std::span<std::byte> arrived() noexcept;
    void take(std::size_t bytes) noexcept;
    [[nodiscard]] std::error_code fail(std::error_code error) noexcept;
    [[nodiscard]] Result<std::size_t> decode(std::span<std::byte> raw, std::byte* into) noexcept;
    [[nodiscard]] Result<std::string_view> collect(std::size_t max_bytes, Deadline deadline);
    /// Reads from the socket, at least one byte. An error that is none of the client's leaves the body
    /// as it was.
    [[nodiscard]] Result<std::size_t> receive(std::span<std::byte> into,
                                              Deadline deadline) noexcept;
    [[nodiscard]] Result<void> receive_more(Deadline deadline) noexcept;
    [[nodiscard]] Result<void> before_wait(Deadline deadline) noexcept;

    // What an exchange keeps of each buffer for the next request, in bytes.
    static constexpr std::size_t kKeptBytes = 64 * 1024;

    Wire& wire_;
    Buffer& in_;
    RequestParser& parser_;
    Buffer spill_;      // what came after `in`
    Buffer collected_;  // what read_all() had to put together

    // complete_ or error_: nothing more is read.
    bool had_body_ = false;  // used_ counts, not only the head
    bool chunked_ = false;
    bool complete_ = true;
    bool expects_continue_ = false;  // and has not been told
    bool said_continue_ = false;     // while had_body_
    std::uint64_t remaining_ = 0;    // of a body with a length
    std::uint64_t announced_ = 0;    // its length, while had_body_
    std::uint64_t decoded_ = 0;      // of a chunked body
    std::uint64_t limit_ = 0;        // of the whole body, while had_body_
    std::uint64_t received_ = 0;     // from the socket
    std::size_t used_ = 0;           // of `in`: the head, and what has been taken behind it
    Patience patience_;              // with the client; the handler's own time is not its fault
    std::error_code error_;
};

}  // namespace coir::http
