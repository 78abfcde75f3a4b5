#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "bytes.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/// Where a run of bytes of one class ends, many bytes at a time: one by one, a head of a dozen fields
/// costs more to look through than all the rest of its request.
///
/// Words does it with eight bytes in a number, everywhere; Vectors with sixteen, where SSE2 is. Both
/// say the same of all bytes; what is parsed with is Best.
namespace coir::http::byte_scan {

/// Letters, digits and '-': what nearly all names of fields are made of.
struct NameChars {};
/// 0x21 to 0x7e without '?' and '#', which end a path.
struct PathChars {};
/// 0x21 to 0x7e without '#', which ends a query.
struct QueryChars {};
/// 0x20 to 0x7e: ASCII without controls.
struct TextChars {};

struct Words {
    using Block = std::uint64_t;
    using Marks = std::uint64_t;
    static constexpr std::size_t kBytes = 8;
    static constexpr unsigned kBitsPerMark = 8;

    static Block load(const char* from) noexcept { return bytes::load<Block>(from); }

    // One mark for each byte that is not of the class, the first byte's lowest.
    static Marks strangers(NameChars, Block block) noexcept {
        return ~(in_range(block | all(0x20), 'a', 'z') | in_range(block, '0', '9') |
                 in_range(block, '-', '-')) &
               all(0x80);
    }
    static Marks strangers(PathChars, Block block) noexcept {
        return strangers(QueryChars(), block) | in_range(block, '?', '?');
    }
    static Marks strangers(QueryChars, Block block) noexcept {
        return (~in_range(block, 0x21, 0x7e) & all(0x80)) | in_range(block, '#', '#');
    }
    static Marks strangers(TextChars, Block block) noexcept {
        return ~in_range(block, 0x20, 0x7e) & all(0x80);
    }

private:
    static constexpr Block all(unsigned byte) noexcept { return 0x0101010101010101U * byte; }
    // The seven low bits and what is added to them stay within their byte, and end in its eighth.
    static Block in_range(Block block, unsigned first, unsigned last) noexcept {
        const Block low = block & all(0x7f);
        return (low + all(0x80 - first)) & ~(low + all(0x7f - last)) & ~block & all(0x80);
    }
};
static_assert(std::endian::native == std::endian::little);

#if defined(__SSE2__)
struct Vectors {
    using Block = __m128i;
    using Marks = unsigned;
    static constexpr std::size_t kBytes = 16;
    static constexpr unsigned kBitsPerMark = 1;

    static Block load(const char* from) noexcept {
        return _mm_loadu_si128(reinterpret_cast<const Block*>(from));
    }

    static Marks strangers(NameChars, Block block) noexcept {
        const Block letters = in_range(_mm_or_si128(block, all(0x20)), 'a', 'z');
        const Block digits = in_range(block, '0', '9');
        return all_but(_mm_or_si128(_mm_or_si128(letters, digits), equal_to(block, '-')));
    }
    static Marks strangers(PathChars, Block block) noexcept {
        const Block ends = _mm_or_si128(equal_to(block, '#'), equal_to(block, '?'));
        return all_but(_mm_andnot_si128(ends, in_range(block, 0x21, 0x7e)));
    }
    static Marks strangers(QueryChars, Block block) noexcept {
        return all_but(_mm_andnot_si128(equal_to(block, '#'), in_range(block, 0x21, 0x7e)));
    }
    static Marks strangers(TextChars, Block block) noexcept {
        return all_but(in_range(block, 0x20, 0x7e));
    }

private:
    static Block all(char byte) noexcept { return _mm_set1_epi8(byte); }
    static Block equal_to(Block block, char byte) noexcept {
        return _mm_cmpeq_epi8(block, all(byte));
    }
    // Moved up so that `last` becomes the greatest signed byte, only the range is above the rest.
    static Block in_range(Block block, char first, char last) noexcept {
        const char up = static_cast<char>(0x7f - last);
        return _mm_cmpgt_epi8(_mm_add_epi8(block, all(up)), all(static_cast<char>(first + up - 1)));
    }
    static Marks all_but(Block friends) noexcept {
        return static_cast<unsigned>(_mm_movemask_epi8(friends)) ^ 0xffffU;
    }
};
using Best = Vectors;
#else
using Best = Words;
#endif

/// The first byte from `from` on that is not of the class, or `end`. Reads nothing behind `end`.
/// Requires: from <= end, and the Scan::kBytes before `end` can be read.
template <typename Scan, typename Class>
[[nodiscard, gnu::always_inline]] inline const char* find_end(Class of_class, const char* from,
                                                              const char* end) noexcept {
    const auto first = [](typename Scan::Marks marks) {
        return static_cast<unsigned>(std::countr_zero(marks)) / Scan::kBitsPerMark;
    };
    for (;;) {
        const auto left = static_cast<std::size_t>(end - from);
        if (left < Scan::kBytes) [[unlikely]] {
            if (left == 0) {
                return end;
            }
            // The last block, without those of its bytes that lie before `from`.
            const auto before = static_cast<unsigned>(Scan::kBytes - left) * Scan::kBitsPerMark;
            const auto marks = Scan::strangers(of_class, Scan::load(end - Scan::kBytes)) >> before;
            return marks != 0 ? from + first(marks) : end;
        }
        const auto marks = Scan::strangers(of_class, Scan::load(from));
        if (marks != 0) [[likely]] {
            return from + first(marks);
        }
        from += Scan::kBytes;
    }
}

}  // namespace coir::http::byte_scan
