// coir-soak: a server with routes for most things that a handler can do, and clients of all sorts.
// tests/soak/run starts both, as two processes.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string_view>

#include "coir/base/number.hpp"
#include "load.hpp"
#include "serve.hpp"

namespace {

constexpr int kExitUsage = 2;

}  // namespace

int main(int argc, char** argv) {
    const auto words = std::span<char* const>(argv, static_cast<std::size_t>(argc));
    try {
        if (words.size() == 3 && std::string_view(words[1]) == "serve") {
            return coir::soak::serve(coir::parse_integer<std::size_t>(words[2]).value());
        }
        if (words.size() == 5 && std::string_view(words[1]) == "load") {
            coir::soak::LoadOptions options;
            options.port = coir::parse_integer<std::uint16_t>(words[2]).value();
            options.duration =
                std::chrono::seconds(coir::parse_integer<unsigned>(words[3]).value());
            options.seed = coir::parse_integer<std::uint64_t>(words[4]).value();
            return coir::soak::load(options);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "coir-soak: %s\n", error.what());
        return kExitUsage;
    }
    std::fprintf(stderr, "usage: coir-soak serve WORKERS | load PORT SECONDS SEED\n");
    return kExitUsage;
}
