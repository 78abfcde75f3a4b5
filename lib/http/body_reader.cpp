#include "coir/http/body_reader.hpp"

#include "body_source.hpp"

namespace coir::http {

Result<std::size_t> BodyReader::read_some(std::span<std::byte> into, Deadline deadline) noexcept {
    return source_ == nullptr ? Result<std::size_t>(0) : source_->read_some(into, deadline);
}

Result<std::string_view> BodyReader::read_all(Deadline deadline) {
    return source_ == nullptr ? Result<std::string_view>(std::string_view())
                              : source_->read_all(source_->default_bound(), deadline);
}

Result<std::string_view> BodyReader::read_all(std::size_t max_bytes, Deadline deadline) {
    return source_ == nullptr ? Result<std::string_view>(std::string_view())
                              : source_->read_all(max_bytes, deadline);
}

std::optional<std::uint64_t> BodyReader::content_length() const noexcept {
    return source_ == nullptr ? 0 : source_->content_length();
}

bool BodyReader::at_end() const noexcept {
    return source_ == nullptr || source_->is_complete();
}

Headers BodyReader::trailers() const noexcept {
    return source_ == nullptr ? Headers() : source_->trailers();
}

std::error_code BodyReader::error() const noexcept {
    return source_ == nullptr ? std::error_code() : source_->error();
}

}  // namespace coir::http
