#include "error_status.hpp"

#include "coir/base/error.hpp"

namespace coir::http {

Status status_for(std::error_code error) noexcept {
    if (error == std::errc::timed_out) {
        return Status::request_timeout;
    }
    if (error.category() != coir_category()) {
        return Status::internal_server_error;
    }
    switch (static_cast<Errc>(error.value())) {
        case Errc::unexpected_eof:
        case Errc::malformed_request:
        case Errc::malformed_chunk: return Status::bad_request;
        case Errc::header_too_large: return Status::request_header_fields_too_large;
        case Errc::target_too_long: return Status::uri_too_long;
        case Errc::body_too_large: return Status::content_too_large;
        case Errc::expectation_failed: return Status::expectation_failed;
        case Errc::misdirected_request: return Status::misdirected_request;
        case Errc::unsupported_method:
        case Errc::unsupported_coding: return Status::not_implemented;
        case Errc::unsupported_version: return Status::http_version_not_supported;
        default: return Status::internal_server_error;
    }
}

}  // namespace coir::http
