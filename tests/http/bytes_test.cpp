#include "http/bytes.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>

namespace coir::http {
namespace {

constexpr std::size_t kSizes = 50;

/// Of exactly so many bytes, so that a sanitizer sees what is done beside them.
std::unique_ptr<char[]> block_of(const std::string& text) {
    auto block = std::make_unique<char[]>(text.size());
    std::memcpy(block.get(), text.data(), text.size());
    return block;
}

TEST(Bytes, AreEqualOnlyIfAllAre) {
    for (std::size_t size = 0; size < kSizes; ++size) {
        const std::string text(size, 'a');
        const auto one = block_of(text);
        const auto other = block_of(text);
        EXPECT_TRUE(bytes::equal(one.get(), other.get(), size)) << size;
        for (std::size_t at = 0; at < size; ++at) {
            other[at] = 'b';
            EXPECT_FALSE(bytes::equal(one.get(), other.get(), size)) << at << " of " << size;
            other[at] = 'a';
        }
    }
}

TEST(Bytes, AreAllCopiedAndNoMore) {
    for (std::size_t size = 0; size < kSizes; ++size) {
        std::string text;
        while (text.size() < size) {
            text.push_back(static_cast<char>('A' + text.size()));
        }
        const auto from = block_of(text);
        const auto to = block_of(std::string(size, '-'));
        EXPECT_EQ(bytes::copy(to.get(), from.get(), size), to.get() + size);
        EXPECT_EQ(std::string(to.get(), size), text);
    }
}

}  // namespace
}  // namespace coir::http
