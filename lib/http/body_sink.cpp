#include "body_sink.hpp"

#include "body_source.hpp"
#include "coir/base/assert.hpp"
#include "coir/base/error.hpp"
#include "exchange.hpp"
#include "trailers.hpp"
#include "upgrade.hpp"

namespace coir::http {

using response_writer::Framing;

void BodySink::start(std::optional<std::uint64_t> promised) {
    wire_.mark();
    written_ = 0;
    promised_ = promised;
    error_ = {};
    // A handler that reads while it writes will read to the end. If it does not, the connection
    // closes without having said so.
    context_.keep_alive = context_.keep_alive && !exchange_.is_last_of_a_stop() &&
                          (request_body_.is_being_read() || request_body_.can_be_drained());
    request_body_.forget_continue();
    framing_ = response_writer::streamed_framing(response_, promised.has_value(), context_);
    if (framing_ == Framing::until_close) {
        context_.keep_alive = false;
    }
    date_.refresh();
    leaves_out_ = context_.is_head || forbids_content(response_.status());
    response_writer::append_head(wire_.out, response_, context_, framing_,
                                 forbids_content(response_.status()) ? 0 : promised_.value_or(0));
    started_ = true;  // not before: memory may have been wanting
}

// Whether so many bytes more keep the promise.
bool BodySink::may_follow(std::uint64_t bytes) const noexcept {
    return framing_ != Framing::length || !promised_ || bytes <= *promised_ - written_;
}

Result<void> BodySink::write(std::span<const std::byte> data, Deadline deadline) {
    if (!started_) {
        start(response_.promised_length());
    }
    if (error_) {
        return error_;
    }
    if (!may_follow(data.size())) {
        return Errc::body_length_mismatch;
    }
    const bool chunked = framing_ == Framing::chunked;
    const bool is_large = data.size() > response_writer::kLargeBody;
    if (data.empty() || leaves_out_) {
        written_ += data.size();
        return {};
    }
    // All the room at once: a chunk must not end behind its size for want of memory.
    (void)wire_.out.prepare((chunked ? response_writer::kChunkFraming : 0) +
                            (is_large ? 0 : data.size()));
    written_ += data.size();
    if (chunked) {
        response_writer::append_chunk_size(wire_.out, data.size());
    }
    Result<void> outcome;
    if (is_large) {
        constexpr char kChunkEnd[] = {'\r', '\n'};
        const auto tail = std::as_bytes(std::span(kChunkEnd, chunked ? 2 : 0));
        outcome = wire_.flush_with(data, tail, deadline);
    } else {
        wire_.out.append(data);
        if (chunked) {
            wire_.out.append("\r\n");
        }
        if (wire_.is_over_limit()) {
            wire_.give_way();
            outcome = wire_.flush(deadline);
        }
    }
    error_ = outcome.error();
    return outcome;
}

Result<void> BodySink::write_file(const File& file, std::uint64_t offset, std::uint64_t bytes,
                                  Deadline deadline) {
    if (!started_) {
        start(response_.promised_length());
    }
    if (error_) {
        return error_;
    }
    if (!may_follow(bytes)) {
        return Errc::body_length_mismatch;
    }
    if (bytes == 0 || leaves_out_) {
        written_ += bytes;
        return {};
    }
    const bool chunked = framing_ == Framing::chunked;
    if (chunked) {
        (void)wire_.out.prepare(response_writer::kChunkFraming);
        response_writer::append_chunk_size(wire_.out, bytes);
    }
    written_ += bytes;
    const auto outcome = wire_.send_file(file.native_handle(), offset, bytes, deadline);
    if (outcome && chunked) {
        wire_.out.append("\r\n");  // the size had as much room
    }
    error_ = outcome.error();
    return outcome;
}

Result<void> BodySink::write_whole(const FilePart& part) {
    const auto promised = response_.promised_length();
    if (promised && *promised != part.bytes) {
        return Errc::body_length_mismatch;
    }
    start(part.bytes);
    return write_file(*part.file, part.offset, part.bytes, Deadline::never());
}

Result<void> BodySink::flush(Deadline deadline) {
    if (!started_) {
        start(response_.promised_length());
    }
    if (error_) {
        return error_;
    }
    wire_.give_way();
    const auto flushed = wire_.flush(deadline);
    error_ = wire_.error();  // what the caller did not wait for stays in the wire
    return flushed;
}

Result<void> BodySink::send_earlier(Deadline deadline) {
    return started_ ? flush(deadline) : wire_.flush(deadline);
}

bool BodySink::may_have_trailers() const noexcept {
    return trailers::are_wanted(exchange_.head);
}

Result<void> BodySink::may_upgrade(std::string_view protocol) const noexcept {
    if (started_) {
        return Errc::response_already_started;
    }
    if (!upgrade::is_offered(exchange_.head, protocol)) {
        return Errc::upgrade_not_offered;
    }
    if (!request_body_.could_be_drained()) {
        return request_body_.error() ? request_body_.error()
                                     : make_error_code(Errc::body_too_large);
    }
    return {};
}

Result<void> BodySink::finish() {
    COIR_ASSERT(started_);
    if (error_) {
        return error_;
    }
    if (framing_ == Framing::length && promised_ && written_ != *promised_ &&
        !(leaves_out_ && written_ == 0)) {
        return Errc::body_length_mismatch;
    }
    if (framing_ == Framing::chunked && !leaves_out_) {
        const std::string_view trailers = response_.trailers();
        response_writer::append_last_chunk(
            wire_.out, !trailers.empty() && may_have_trailers() ? trailers : std::string_view());
    }
    return {};
}

}  // namespace coir::http
