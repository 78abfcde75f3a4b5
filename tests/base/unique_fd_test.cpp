#include "coir/base/unique_fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace coir {
namespace {

int open_something() {
    return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(UniqueFd, OwnsNothingAtFirst) {
    const UniqueFd fd;
    EXPECT_FALSE(fd);
    EXPECT_EQ(fd.get(), -1);
}

TEST(UniqueFd, ClosesInItsDestructor) {
    const int number = open_something();
    {
        const UniqueFd fd(number);
        EXPECT_TRUE(fd);
        EXPECT_EQ(fd.get(), number);
        EXPECT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, OwnsTheDescriptorZeroAsAnyOther) {
    UniqueFd zero(0);
    EXPECT_TRUE(zero);
    EXPECT_EQ(zero.release(), 0);
}

TEST(UniqueFd, MovesItsDescriptor) {
    const int number = open_something();
    UniqueFd first(number);
    UniqueFd second(std::move(first));
    EXPECT_FALSE(first);
    EXPECT_EQ(second.get(), number);
    const int other = open_something();
    UniqueFd third(other);
    third = std::move(second);
    EXPECT_EQ(third.get(), number);
    EXPECT_FALSE(is_open(other)) << "what it owned before is closed";
    EXPECT_TRUE(is_open(number));
    UniqueFd& same = third;
    third = std::move(same);
    EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, ReleaseGivesItAway) {
    const int number = open_something();
    {
        UniqueFd fd(number);
        EXPECT_EQ(fd.release(), number);
        EXPECT_FALSE(fd);
    }
    EXPECT_TRUE(is_open(number));
    UniqueFd(number).reset();
    EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, ResetClosesTheOldOne) {
    const int first = open_something();
    const int second = open_something();
    UniqueFd fd(first);
    fd.reset(second);
    EXPECT_FALSE(is_open(first));
    EXPECT_TRUE(is_open(second));
}

}  // namespace
}  // namespace coir
