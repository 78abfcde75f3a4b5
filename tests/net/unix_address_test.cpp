#include "coir/net/unix_address.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "coir/base/error.hpp"

namespace coir::net {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Kind = UnixAddress::Kind;

UnixAddress through_the_kernel(const UnixAddress& address) {
    sockaddr_storage storage{};
    std::memcpy(&storage, address.native(), address.native_size());
    return UnixAddress::from_native(storage, address.native_size());
}

TEST(UnixAddress, IsUnnamedUnlessTold) {
    const UnixAddress address;
    EXPECT_EQ(address.kind(), Kind::unnamed);
    EXPECT_EQ(address.as_name(), "");
    EXPECT_EQ(address.to_string(), "(unnamed)");
    EXPECT_EQ(address.native_size(), sizeof(sa_family_t));
    EXPECT_EQ(through_the_kernel(address), address);
}

TEST(UnixAddress, OfAPathEndsWithANulByte) {
    const auto address = UnixAddress::path("/run/x.sock").value();
    EXPECT_EQ(address.kind(), Kind::path);
    EXPECT_EQ(address.as_name(), "/run/x.sock");
    EXPECT_EQ(address.as_name().data()[11], '\0');
    EXPECT_EQ(address.to_string(), "/run/x.sock");
    EXPECT_EQ(through_the_kernel(address), address);
}

TEST(UnixAddress, OfAnAbstractNameHoldsAnyBytes) {
    const auto name = "a\0b"sv;
    const auto address = UnixAddress::abstract(name).value();
    EXPECT_EQ(address.kind(), Kind::abstract);
    EXPECT_EQ(address.as_name(), name);
    EXPECT_EQ(address.to_string(), "@a\0b"s);
    EXPECT_EQ(through_the_kernel(address), address);
    EXPECT_NE(address, UnixAddress::abstract("a").value());
    EXPECT_NE(UnixAddress::abstract("a").value(), UnixAddress::path("a").value());
    EXPECT_NE(UnixAddress::abstract("").value(), UnixAddress());
}

TEST(UnixAddress, RefusesWhatTheKernelCannotHold) {
    EXPECT_EQ(UnixAddress::path("").error(), Errc::malformed_address);
    EXPECT_EQ(UnixAddress::path("a\0b"sv).error(), Errc::malformed_address);
    const std::string longest(UnixAddress::kMaxBytes, 'x');
    EXPECT_EQ(UnixAddress::path(longest).value().as_name(), longest);
    EXPECT_EQ(UnixAddress::abstract(longest).value().as_name(), longest);
    EXPECT_EQ(UnixAddress::path(longest + 'x').error(), std::errc::filename_too_long);
    EXPECT_EQ(UnixAddress::abstract(longest + 'x').error(), std::errc::filename_too_long);
}

TEST(UnixAddress, TakesAPathThatLeftTheKernelNoRoomForItsNul) {
    sockaddr_storage storage{};
    storage.ss_family = AF_UNIX;
    const std::string longest(sizeof(sockaddr_un::sun_path), 'x');
    std::memcpy(reinterpret_cast<char*>(&storage) + sizeof(sa_family_t), longest.data(),
                longest.size());
    // The size of sockaddr_un, and one more, for the NUL that the kernel adds behind it.
    for (const std::size_t size : {sizeof(sockaddr_un), sizeof(sockaddr_un) + 1}) {
        EXPECT_EQ(UnixAddress::from_native(storage, static_cast<socklen_t>(size)).as_name(),
                  longest);
    }
}

TEST(UnixAddress, ANameOfSizeZeroFromTheKernelIsUnnamed) {
    EXPECT_EQ(UnixAddress::from_native(sockaddr_storage{}, 0), UnixAddress());
}

}  // namespace
}  // namespace coir::net
