#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace coir::fuzz {

/// An input of a fuzzer whose bytes arrive in pieces: the last byte says in which, so that the rest can be read,
/// and seeds be written, as what it is.
class Pieces final {
public:
    Pieces(const std::uint8_t* data, std::size_t size) noexcept
        : bytes_(reinterpret_cast<const char*>(data), size == 0 ? 0 : size - 1),
          state_(size == 0 ? 0 : data[size - 1]) {}

    [[nodiscard]] std::string_view all() const noexcept { return bytes_; }
    [[nodiscard]] bool empty() const noexcept { return bytes_.size() == taken_; }
    /// Requires: not empty().
    [[nodiscard]] std::string_view next() noexcept {
        // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014); mostly short pieces, sometimes long ones.
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15U;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        const std::size_t wanted = 1 + (z >> 8) % ((z & 3) == 0 ? 256 : 8);
        const auto piece = bytes_.substr(taken_, wanted);
        taken_ += piece.size();
        return piece;
    }

private:
    std::string_view bytes_;
    std::uint64_t state_;
    std::size_t taken_ = 0;
};

}  // namespace coir::fuzz
