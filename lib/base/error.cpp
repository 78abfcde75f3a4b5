#include "coir/base/error.hpp"

#include <string>

namespace coir {
namespace {

const char* describe(Errc code) noexcept {
    switch (code) {
        case Errc::unexpected_eof: return "the end came before everything that was promised";
        case Errc::malformed_address: return "not an IP address and port";
        case Errc::malformed_number: return "not a decimal integer";
        case Errc::number_out_of_range: return "integer out of range";
        case Errc::malformed_request: return "malformed HTTP request";
        case Errc::malformed_chunk: return "malformed chunked coding";
        case Errc::unsupported_version: return "unsupported HTTP version";
        case Errc::unsupported_method: return "unsupported HTTP method";
        case Errc::unsupported_coding: return "unsupported transfer coding";
        case Errc::header_too_large: return "request head or trailers over their limit";
        case Errc::target_too_long: return "request target over its limit";
        case Errc::body_too_large: return "request body over its limit";
        case Errc::expectation_failed: return "unsupported expectation";
        case Errc::misdirected_request: return "https target on a connection without TLS";
        case Errc::response_already_started: return "the response has already been started";
        case Errc::body_length_mismatch: return "the body has not the promised length";
        case Errc::invalid_field: return "invalid header field";
        case Errc::upgrade_not_offered: return "the client has not offered that protocol";
        case Errc::channel_closed: return "the channel is closed";
        case Errc::not_a_fiber: return "not called from a fiber";
        case Errc::runtime_stopped: return "the runtime has stopped";
    }
    return "unknown coir error";
}

class Category final : public std::error_category {
public:
    const char* name() const noexcept override { return "coir"; }
    std::string message(int code) const override { return describe(static_cast<Errc>(code)); }
};

}  // namespace

const std::error_category& coir_category() noexcept {
    static const Category category;
    return category;
}

std::error_code make_error_code(Errc code) noexcept {
    return {static_cast<int>(code), coir_category()};
}

}  // namespace coir
