#include "wire_cases.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string_view>

namespace coir::http::test {
namespace {

[[noreturn]] void malformed(const std::filesystem::path& file, const std::string& line) {
    std::cerr << file << ": not a line of a wire case: " << line << '\n';
    std::exit(1);
}

std::string unescape(std::string_view text) {
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            const char kind = text[++i];
            if (kind == 'x') {
                bytes.push_back(
                    static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16)));
                i += 2;
            } else {
                bytes.push_back(kind == 'r'   ? '\r'
                                : kind == 'n' ? '\n'
                                : kind == 't' ? '\t'
                                              : kind);
            }
        } else if (text[i] == '{') {
            const std::size_t star = text.find('*', i);
            const std::size_t close = text.find('}', i);
            const int times = std::stoi(std::string(text.substr(i + 1, star - i - 1)));
            const std::string piece = unescape(text.substr(star + 1, close - star - 1));
            for (int n = 0; n < times; ++n) {
                bytes += piece;
            }
            i = close;
        } else {
            bytes.push_back(text[i]);
        }
    }
    return bytes;
}

void load(const std::filesystem::path& file, std::vector<WireCase>& cases) {
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        if (line.empty() || line.starts_with('#')) {
            continue;
        }
        if (line.starts_with("=== ")) {
            cases.push_back({file.stem().string() + ": " + line.substr(4), {}, {}, false});
        } else if (line.starts_with("> ") && !cases.empty()) {
            cases.back().input += unescape(std::string_view(line).substr(2));
        } else if (line.starts_with("< ") && !cases.empty()) {
            cases.back().events.push_back(unescape(std::string_view(line).substr(2)));
            cases.back().wants_headers |= line.starts_with("< header ");
        } else {
            malformed(file, line);
        }
    }
}

}  // namespace

std::vector<WireCase> load_wire_cases() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(COIR_WIRE_CASES)) {
        files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<WireCase> cases;
    for (const auto& file : files) {
        load(file, cases);
    }
    return cases;
}

std::string test_name(const WireCase& wire_case) {
    std::string name;
    bool upper = true;
    for (const char c : wire_case.name) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) == 0) {
            upper = true;
        } else {
            name.push_back(upper ? static_cast<char>(std::toupper(byte)) : c);
            upper = false;
        }
    }
    return name;
}

}  // namespace coir::http::test
