#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "coir/base/error.hpp"
#include "http/request_parser.hpp"

namespace coir::http::test {

inline std::string name_of(std::error_code error) {
    if (error.category() != coir_category()) {
        return error.message();
    }
    switch (static_cast<Errc>(error.value())) {
        case Errc::malformed_request: return "malformed_request";
        case Errc::malformed_chunk: return "malformed_chunk";
        case Errc::unsupported_version: return "unsupported_version";
        case Errc::unsupported_method: return "unsupported_method";
        case Errc::unsupported_coding: return "unsupported_coding";
        case Errc::header_too_large: return "header_too_large";
        case Errc::target_too_long: return "target_too_long";
        case Errc::body_too_large: return "body_too_large";
        case Errc::expectation_failed: return "expectation_failed";
        case Errc::misdirected_request: return "misdirected_request";
        default: return "another error";
    }
}

/// Reads requests the way a connection does, from pieces that arrive one after the other, and says what it saw
/// in the words of the wire cases. Each piece goes to a block of memory of its exact size, so that a
/// sanitizer sees a read past what has come.
class EventLog final {
public:
    struct Options {
        bool wants_headers = false;
        RequestParser::Limits limits{
            .max_header_bytes = 4096, .max_header_fields = 16, .max_target_bytes = 1024};
        void (*on_head)(const RequestHead&) = nullptr;
    };

    explicit EventLog(const Options& options) : options_(options) {}

    void feed(std::string_view piece) {
        if (piece.empty()) {
            return;
        }
        auto larger = std::make_unique<char[]>(size_ + piece.size());
        std::memcpy(larger.get(), bytes_.get(), size_);
        std::memcpy(larger.get() + size_, piece.data(), piece.size());
        bytes_ = std::move(larger);
        size_ += piece.size();
        while (!failed_ && advance()) {
        }
    }
    void finish() {
        if (!failed_ && (in_body_ || size_ != 0)) {
            events_.emplace_back("incomplete");
        }
    }
    [[nodiscard]] const std::vector<std::string>& events() const noexcept { return events_; }

private:
    bool advance() { return in_body_ ? advance_body() : advance_head(); }
    bool advance_head() {
        const auto progress = parser_->parse_head({bytes_.get(), size_}, head_);
        if (!progress) {
            return fail(progress.error());
        }
        if (*progress == RequestParser::Progress::need_more) {
            return false;
        }
        if (options_.on_head != nullptr) {
            options_.on_head(head_);
        }
        log_head();
        consume(parser_->head_bytes());
        in_body_ = head_.chunked || head_.content_length.value_or(0) != 0;
        body_.clear();
        if (!in_body_) {
            parser_->reset();
        }
        return size_ != 0;
    }
    void log_head() {
        std::string event = "request " + std::string(as_text(head_.method)) + " " +
                            std::string(head_.target) +
                            (head_.version == Version::http_1_1 ? " 1.1" : " 1.0") +
                            (head_.keep_alive ? " keep" : " close");
        if (head_.path != head_.target) {
            event += " path=" + std::string(head_.path);
        }
        if (!head_.query.empty()) {
            event += " query=" + std::string(head_.query);
        }
        if (head_.authority != "a") {
            event += " authority=" + std::string(head_.authority);
        }
        if (head_.expects_continue) {
            event += " continue";
        }
        events_.push_back(std::move(event));
        if (options_.wants_headers) {
            for (const Header header : head_.headers) {
                events_.push_back("header " + std::string(header.name) + ": " +
                                  std::string(header.value));
            }
        }
    }
    bool advance_body() {
        bool complete = false;
        if (head_.chunked) {
            std::string decoded(size_, '\0');
            const auto result =
                parser_->decode_chunks(std::as_bytes(std::span(bytes_.get(), size_)),
                                       reinterpret_cast<std::byte*>(decoded.data()),
                                       std::numeric_limits<std::uint64_t>::max());
            if (!result) {
                return fail(result.error());
            }
            body_.append(decoded, 0, result->written);
            consume(result->consumed);
            complete = result->complete;
        } else {
            const auto rest = *head_.content_length - body_.size();
            const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(rest, size_));
            body_.append(bytes_.get(), taken);
            consume(taken);
            complete = taken == rest;
        }
        if (complete) {
            events_.push_back("body " + body_);
            in_body_ = false;
            parser_->reset();
        }
        return size_ != 0;
    }
    bool fail(std::error_code error) {
        events_.push_back("error " + name_of(error));
        failed_ = true;
        return false;
    }
    void consume(std::size_t count) {
        auto rest = std::make_unique<char[]>(size_ - count);
        std::memcpy(rest.get(), bytes_.get() + count, size_ - count);
        bytes_ = std::move(rest);
        size_ -= count;
    }

    Options options_;
    std::unique_ptr<RequestParser> parser_ = std::make_unique<RequestParser>(options_.limits);
    RequestHead head_;
    std::unique_ptr<char[]> bytes_ = std::make_unique<char[]>(0);
    std::size_t size_ = 0;
    std::string body_;
    bool in_body_ = false;
    bool failed_ = false;
    std::vector<std::string> events_;
};

}  // namespace coir::http::test
