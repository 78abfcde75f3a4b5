#include "coir/base/buffer.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

namespace coir {
namespace {

TEST(Buffer, IsEmptyAtFirstAndAllocatesNothing) {
    const Buffer buffer;
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.size(), 0U);
    EXPECT_EQ(buffer.capacity(), 0U);
    EXPECT_EQ(buffer.as_text(), "");
    EXPECT_TRUE(buffer.readable().empty());
}

TEST(Buffer, MakesReadableWhatWasCommitted) {
    Buffer buffer(16);
    const auto space = buffer.prepare(10);
    ASSERT_GE(space.size(), 10U);
    std::memcpy(space.data(), "0123456789", 10);
    EXPECT_TRUE(buffer.empty());
    buffer.commit(4);
    EXPECT_EQ(buffer.as_text(), "0123");
    buffer.commit(2);
    EXPECT_EQ(buffer.as_text(), "012345");
    buffer.consume(3);
    EXPECT_EQ(buffer.as_text(), "345");
    EXPECT_EQ(buffer.size(), 3U);
}

TEST(Buffer, UsesConsumedRoomBeforeItGrows) {
    Buffer buffer(8);
    buffer.append("abcdefgh");
    buffer.consume(5);
    EXPECT_EQ(buffer.prepare(5).size(), 5U);
    EXPECT_EQ(buffer.as_text(), "fgh");
    EXPECT_EQ(buffer.capacity(), 8U);
    buffer.append("12345");
    EXPECT_EQ(buffer.as_text(), "fgh12345");
    EXPECT_EQ(buffer.capacity(), 8U);
}

TEST(Buffer, StartsAgainAtTheFrontWhenAllIsConsumed) {
    Buffer buffer(8);
    buffer.append("abcdefgh");
    const auto* const front = buffer.readable().data();
    buffer.consume(8);
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.prepare(8).data(), front);
}

TEST(Buffer, GrowsAtLeastToDouble) {
    Buffer buffer(8);
    buffer.append("abcdefgh");
    buffer.append("i");
    EXPECT_EQ(buffer.as_text(), "abcdefghi");
    EXPECT_GE(buffer.capacity(), 16U);
    buffer.append(std::string(1000, 'x'));
    EXPECT_EQ(buffer.as_text(), "abcdefghi" + std::string(1000, 'x'));
}

TEST(Buffer, AppendsNothingWithoutAnAllocation) {
    Buffer buffer;
    buffer.append("");
    buffer.append(std::span<const std::byte>());
    EXPECT_EQ(buffer.capacity(), 0U);
}

TEST(Buffer, ClearForgetsTheBytesAndKeepsTheRoom) {
    Buffer buffer(8);
    buffer.append("abc");
    buffer.clear();
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.capacity(), 8U);
}

TEST(Buffer, TruncateTakesBackWhatCameLast) {
    Buffer buffer(8);
    buffer.append("abcdef");
    buffer.consume(1);
    buffer.truncate(5);
    EXPECT_EQ(buffer.as_text(), "bcdef");
    buffer.truncate(2);
    EXPECT_EQ(buffer.as_text(), "bc");
    buffer.append("xyz");
    EXPECT_EQ(buffer.as_text(), "bcxyz");
    buffer.truncate(0);
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.capacity(), 8U);
}

TEST(Buffer, LeavesAnEmptyBufferBehindWhenMoved) {
    Buffer first(8);
    first.append("abc");
    Buffer second(std::move(first));
    EXPECT_EQ(second.as_text(), "abc");
    EXPECT_EQ(first.capacity(), 0U);
    EXPECT_TRUE(first.empty());
    first.append("again");
    second = std::move(first);
    EXPECT_EQ(second.as_text(), "again");
    EXPECT_EQ(first.capacity(), 0U);
}

TEST(Buffer, HoldsWhatAStringWouldHold) {
    std::mt19937 random(7);
    Buffer buffer;
    std::string model;
    for (int step = 0; step != 5000; ++step) {
        if (random() % 2 == 0) {
            const std::string text(random() % 200, static_cast<char>('a' + step % 26));
            buffer.append(text);
            model += text;
        } else {
            const std::size_t size = model.empty() ? 0 : random() % (model.size() + 1);
            buffer.consume(size);
            model.erase(0, size);
        }
        ASSERT_EQ(buffer.as_text(), model);
    }
}

#ifndef NDEBUG
TEST(BufferDeathTest, ToTakeMoreThanThereIsIsABug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Buffer buffer(8);
    buffer.append("abc");
    EXPECT_DEATH(buffer.consume(4), "broken invariant");
    EXPECT_DEATH(buffer.commit(6), "broken invariant");
    EXPECT_DEATH(buffer.truncate(4), "broken invariant");
}
#endif

}  // namespace
}  // namespace coir
