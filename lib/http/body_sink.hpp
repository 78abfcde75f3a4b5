#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "date_cache.hpp"
#include "response_writer.hpp"
#include "wire.hpp"

namespace coir::http {

class BodySource;
struct Exchange;

/// Where the body of a response goes that is written while it is being made.
class BodySink final {
public:
    /// `context` is how the response will be framed, with the line of `date`; once the head is on its
    /// way, its keep_alive is what the head has said. `exchange` is the one that the sink is part of.
    BodySink(Wire& wire, const Response& response, BodySource& request_body,
             response_writer::Context& context, DateCache& date, const Exchange& exchange) noexcept
        : wire_(wire),
          response_(response),
          request_body_(request_body),
          context_(context),
          date_(date),
          exchange_(exchange) {}

    /// A handler is about to run.
    void begin() noexcept { started_ = false; }
    [[nodiscard]] Result<void> write(std::span<const std::byte> data, Deadline deadline);
    [[nodiscard]] Result<void> write_file(const File& file, std::uint64_t offset,
                                          std::uint64_t bytes, Deadline deadline);
    /// The whole body, which the handler has left to the engine. Requires: !has_started().
    [[nodiscard]] Result<void> write_whole(const FilePart& part);
    [[nodiscard]] Result<void> flush(Deadline deadline);
    /// As flush(), but does not start this response.
    [[nodiscard]] Result<void> send_earlier(Deadline deadline);
    /// The handler has returned. Errors: body_length_mismatch, and what a write said.
    /// Requires: has_started().
    [[nodiscard]] Result<void> finish();

    /// Whether the client takes fields behind the body, if it is chunked.
    [[nodiscard]] bool may_have_trailers() const noexcept;
    /// No error if the client has offered that protocol and its request can be read to the end.
    [[nodiscard]] Result<void> may_upgrade(std::string_view protocol) const noexcept;
    /// Whether the head has been made. Another response can only be made if the wire can take it
    /// back.
    [[nodiscard]] bool has_started() const noexcept { return started_; }
    /// Whether the client takes the end of the connection for the end of the body. Requires:
    /// has_started().
    [[nodiscard]] bool ends_with_connection() const noexcept {
        return framing_ == response_writer::Framing::until_close;
    }

private:
    void start(std::optional<std::uint64_t> promised);
    [[nodiscard]] bool may_follow(std::uint64_t bytes) const noexcept;

    Wire& wire_;
    const Response& response_;
    BodySource& request_body_;
    response_writer::Context& context_;
    DateCache& date_;
    const Exchange& exchange_;
    bool started_ = false;
    response_writer::Framing framing_ = response_writer::Framing::none;  // once started
    bool leaves_out_ = false;  // the response has no content, whatever is written
    std::optional<std::uint64_t> promised_;
    std::uint64_t written_ = 0;  // <= promised_, where the length frames the body
    std::error_code error_;      // of a write
};

}  // namespace coir::http
