#include "text.hpp"

namespace coir::server {

std::string to_printable(std::string_view text, std::size_t max_bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string printable;
    for (const char c : text.substr(0, max_bytes)) {
        if (c >= ' ' && c <= '~' && c != '\\') {
            printable += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            printable += "\\x";
            printable += kDigits[byte >> 4];
            printable += kDigits[byte & 0xf];
        }
    }
    if (text.size() > max_bytes) {
        printable += "...";
    }
    return printable;
}

}  // namespace coir::server
