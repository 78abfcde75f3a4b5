// What handlers say. Whatever names and values they give, a response is one response: no field adds a line, ends the
// head or changes the framing. And lists of values that clients send come apart at their commas.

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coir/base/buffer.hpp"
#include "coir/http/headers.hpp"
#include "coir/http/response.hpp"
#include "fuzz/promise.hpp"
#include "http/response_writer.hpp"

namespace {

using coir::fuzz::require;
using namespace coir::http;

void check_list(std::string_view list) {
    std::size_t elements = 0;
    for_each_element(list, [&](std::string_view element) {
        ++elements;
        require(!element.empty(), "an element is not empty");
        require(element.find(',') == std::string_view::npos, "an element ends at its comma");
        require(std::string_view(" \t").find(element.front()) == std::string_view::npos &&
                    std::string_view(" \t").find(element.back()) == std::string_view::npos,
                "an element has no blanks around it");
    });
    const bool has_text = list.find_first_not_of(", \t") != std::string_view::npos;
    require((elements != 0) == has_text, "what is no comma and no blank is an element");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    FuzzedDataProvider data(bytes, size);
    Response response;
    response.status(static_cast<Status>(data.ConsumeIntegralInRange<unsigned>(0, 1023)));
    std::vector<std::pair<std::string, std::string>> taken;
    for (int left = data.ConsumeIntegralInRange(0, 4); left > 0; --left) {
        std::string name = data.ConsumeBool() ? "X-Name" : data.ConsumeRandomLengthString(32);
        std::string value = data.ConsumeRandomLengthString(64);
        check_list(value);
        if (response.header(name, value) && !equals_ignoring_case(name, "content-type")) {
            taken.emplace_back(std::move(name), std::move(value));
        }
    }
    (void)response.content_type(data.ConsumeRandomLengthString(32));
    response.body(data.ConsumeRemainingBytesAsString());

    coir::Buffer out;
    const response_writer::Context context{.date_line = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"};
    const bool body_left = response_writer::append_response(out, response, context);
    std::string_view text = out.as_text();
    const std::size_t end = text.find("\r\n\r\n");
    require(text.starts_with("HTTP/1.1 ") && end != std::string_view::npos, "it is a response");
    std::string_view head = text.substr(0, end + 2);
    std::vector<std::string_view> lines;
    while (!head.empty()) {
        const std::size_t line_end = head.find("\r\n");
        lines.push_back(head.substr(0, line_end));
        head.remove_prefix(line_end + 2);
        for (const char c : lines.back()) {
            require(static_cast<unsigned char>(c) >= ' ' || c == '\t', "a line has no controls");
        }
    }
    std::size_t found = 0;
    std::size_t lengths = 0;
    std::string_view length;
    for (std::size_t i = 1; i != lines.size(); ++i) {
        const std::size_t colon = lines[i].find(':');
        require(colon != std::string_view::npos && colon != 0, "a line has a name");
        if (equals_ignoring_case(lines[i].substr(0, colon), "content-length")) {
            ++lengths;
            length = lines[i].substr(colon + 2);
        }
        for (const auto& [name, value] : taken) {
            found += lines[i] == name + ": " + value;
        }
    }
    require(found >= taken.size(), "what was taken is said");
    require(lengths <= 1, "there is one length at most");
    require(lines.size() <= 1 + taken.size() + 4, "nothing else is said");
    const std::string_view body = text.substr(end + 4);
    const std::string_view said =
        response.status() == Status::reset_content ? std::string_view() : response.body();
    require(body_left || lengths == 0 || body == said, "the body is behind the head");
    require(lengths == 0 || length == std::to_string(said.size()), "its length is right");
    require(lengths != 0 || body.empty(), "a body has a length");
    return 0;
}
