// Target and query. A target that is taken is made of its parts and nothing else; parameters lie in the query, in
// order; decoding undoes encoding.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "coir/http/query.hpp"
#include "fuzz/promise.hpp"
#include "http/request_parser.hpp"

namespace {

using coir::fuzz::require;
using namespace coir::http;

constexpr RequestParser::Limits kLimits{
    .max_header_bytes = 4096, .max_header_fields = 4, .max_target_bytes = 2048};

bool lies_in(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

std::string encoded(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        result.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
    }
    return result;
}

void check_query(std::string_view text) {
    const Query query(text);
    const char* from = text.data();
    for (const auto& [name, value] : query) {
        require(lies_in(name, text) && lies_in(value, text), "a parameter lies in its query");
        require(name.data() >= from, "parameters come in order");
        require(name.find_first_of("&=") == std::string_view::npos, "a name ends at '='");
        require(value.find('&') == std::string_view::npos, "a value ends at '&'");
        require(query.find(name).has_value(), "a parameter can be found");
        from = name.data() + name.size();
        for (const auto plus : {Plus::is_blank, Plus::is_plus}) {
            if (const auto plain = to_decoded(value, plus)) {
                require(to_decoded(encoded(*plain), plus).value() == *plain,
                        "decoding undoes encoding");
                require(plain->size() <= value.size(), "decoding makes nothing longer");
            } else {
                require(value.find('%') != std::string_view::npos, "only a '%' can be malformed");
            }
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view target(reinterpret_cast<const char*>(data), size);
    check_query(target);
    std::string head;
    head.append("GET ").append(target).append(" HTTP/1.1\r\nHost: b\r\n\r\n");
    RequestParser parser(kLimits);
    RequestHead request;
    const auto progress = parser.parse_head(head, request);
    if (!progress || parser.head_bytes() != head.size()) {
        return 0;  // refused; or the target has ended the line itself, which is the head's fuzzer's matter
    }
    require(*progress == RequestParser::Progress::head_complete, "all of it was there");
    require(request.target == target, "the target is as it came");
    std::string parts(request.path);
    if (target.find('?') != std::string_view::npos) {
        parts.append("?").append(request.query);
    }
    if (target.starts_with('/') || target == "*") {
        require(parts == target, "a target is its path and its query");
        require(request.authority == "b", "the host is that of the field");
    } else {
        const std::string authority(request.authority);
        const std::size_t begin = target.find("://");
        require(begin != std::string_view::npos && !authority.empty(), "it names a host");
        const std::string_view rest = target.substr(begin + 3);
        require(rest.starts_with(authority), "the host is that of the target");
        const std::string_view behind = rest.substr(authority.size());
        require(behind == parts || "/" + std::string(behind) == parts,
                "behind the host lie path and query");
    }
    check_query(request.query);
    return 0;
}
