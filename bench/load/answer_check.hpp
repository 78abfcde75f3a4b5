#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace coir::bench {

/// A request, and the blank line and body with which its answer ends.
struct Shape {
    std::string_view request;
    std::string_view end_of_answer;
};

// The arena's baseline mix, as baseline.lua has it.
inline constexpr std::array kBaselineMix{
    Shape{"GET /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", "\r\n\r\n55"},
    Shape{"POST /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\n"
          "Content-Length: 2\r\n\r\n20",
          "\r\n\r\n75"},
    Shape{"POST /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\n"
          "Transfer-Encoding: chunked\r\n\r\n2\r\n20\r\n0\r\n\r\n",
          "\r\n\r\n75"},
};

enum class Verdict { unfinished, right, wrong };

/// Whether `answer` is a 200 that ends as it must, and with nothing behind it.
constexpr Verdict judge(std::string_view answer, std::string_view end_of_answer) noexcept {
    if (answer.ends_with(end_of_answer)) {
        return answer.starts_with("HTTP/1.1 200 ") ? Verdict::right : Verdict::wrong;
    }
    // Not all of it yet, or the wrong body, or more than the body.
    const std::size_t head_bytes = answer.find("\r\n\r\n");
    return head_bytes != std::string_view::npos &&
                   answer.size() >= head_bytes + end_of_answer.size()
               ? Verdict::wrong
               : Verdict::unfinished;
}

}  // namespace coir::bench
