#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

#include "coir/base/number.hpp"

namespace coir::test {

/// The seed of this run, printed so that a failure can be repeated: COIR_TEST_SEED, or a new one.
inline std::uint64_t make_seed() {
    std::uint64_t seed = std::random_device{}();
    if (const char* const wanted = std::getenv("COIR_TEST_SEED")) {
        seed = parse_integer<std::uint64_t>(wanted).value();
    }
    std::cout << "COIR_TEST_SEED=" << seed << std::endl;
    return seed;
}

/// Numbers for one fiber or thread: its own, but repeatable. Small, unlike std::mt19937, as a frame of a
/// fiber should be.
class SmallRandom final {
public:
    SmallRandom(std::uint64_t seed, int who) noexcept
        : state_(seed ^ (static_cast<std::uint64_t>(who) + 1) * 0x9E3779B97F4A7C15U) {}

    /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    std::uint64_t next() noexcept {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15U;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31);
    }
    int below(int bound) noexcept {
        return static_cast<int>(next() % static_cast<std::uint64_t>(bound));
    }

private:
    std::uint64_t state_;
};

}  // namespace coir::test
