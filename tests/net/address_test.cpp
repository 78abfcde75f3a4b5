#include "coir/net/address.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

#include "coir/base/error.hpp"

namespace coir::net {
namespace {

TEST(SocketAddress, IsTheUnspecifiedAddressAtFirst) {
    const SocketAddress address;
    EXPECT_EQ(address.to_string(), "0.0.0.0:0");
    EXPECT_FALSE(address.is_ipv6());
    EXPECT_EQ(address.port(), 0);
    EXPECT_EQ(address.family(), AF_INET);
    EXPECT_EQ(address.native_size(), sizeof(sockaddr_in));
}

TEST(SocketAddress, ParsesAnAddressAndAPort) {
    for (const char* text : {"127.0.0.1:8080", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:8080",
                             "[::]:1", "[2001:db8::8a2e:370:7334]:443", "[::ffff:192.0.2.1]:80"}) {
        const auto address = SocketAddress::parse(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(address->to_string(), text);
    }
}

TEST(SocketAddress, ParsesAHostWithAndWithoutBrackets) {
    EXPECT_EQ(SocketAddress::parse("10.1.2.3", 80).value().to_string(), "10.1.2.3:80");
    EXPECT_EQ(SocketAddress::parse("::1", 80).value().to_string(), "[::1]:80");
    EXPECT_EQ(SocketAddress::parse("[::1]", 80).value().to_string(), "[::1]:80");
    EXPECT_EQ(SocketAddress::parse("0:0:0:0:0:0:0:1", 80).value().host_to_string(), "::1");
}

TEST(SocketAddress, RefusesWhatIsNoLiteralAddress) {
    for (const char* host :
         {"", "localhost", "127.0.0", "127.0.0.1.1", "256.0.0.1", "1.2.3.4 ", " 1.2.3.4", "01x",
          ":", ":::", "[]", "[::1", "::1]", "[127.0.0.1]", "::1%lo", "1234567:1:1:1:1:1:1:1",
          "1111:2222:3333:4444:5555:6666:7777:8888:9999"}) {
        EXPECT_EQ(SocketAddress::parse(host, 80).error(), Errc::malformed_address)
            << '"' << host << '"';
    }
    EXPECT_EQ(SocketAddress::parse(std::string_view("1.2.3.4\0", 8), 80).error(),
              Errc::malformed_address);
    EXPECT_EQ(SocketAddress::parse(std::string(1000, '1'), 80).error(), Errc::malformed_address);
}

TEST(SocketAddress, RefusesABadPortAndAnIpv6AddressWithoutBrackets) {
    for (const char* text : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                             "127.0.0.1:+1", "127.0.0.1:80x", "127.0.0.1: 80", ":80", "::1:80",
                             "[::1]", "[::1]80", "[::1]:", "localhost:80"}) {
        EXPECT_EQ(SocketAddress::parse(text).error(), Errc::malformed_address)
            << '"' << text << '"';
    }
}

TEST(SocketAddress, LoopbackAndAnyAreIpv4) {
    EXPECT_EQ(SocketAddress::loopback(8080).to_string(), "127.0.0.1:8080");
    EXPECT_EQ(SocketAddress::any(8080).to_string(), "0.0.0.0:8080");
    EXPECT_EQ(SocketAddress::any(8080).host_to_string(), "0.0.0.0");
}

TEST(SocketAddress, WithPortChangesNothingElse) {
    EXPECT_EQ(SocketAddress::loopback(1).with_port(2).to_string(), "127.0.0.1:2");
    EXPECT_EQ(SocketAddress::parse("[2001:db8::1]:1").value().with_port(65535).to_string(),
              "[2001:db8::1]:65535");
}

TEST(SocketAddress, EqualsWhatNamesTheSamePlace) {
    const auto parse = [](const char* text) { return SocketAddress::parse(text).value(); };
    EXPECT_EQ(parse("127.0.0.1:80"), SocketAddress::loopback(80));
    EXPECT_EQ(parse("[::1]:80"), parse("[0:0::1]:80"));
    EXPECT_NE(parse("127.0.0.1:80"), parse("127.0.0.1:81"));
    EXPECT_NE(parse("127.0.0.1:80"), parse("127.0.0.2:80"));
    EXPECT_NE(parse("[::1]:80"), parse("[::2]:80"));
    EXPECT_NE(parse("0.0.0.0:80"), parse("[::]:80"));
}

TEST(SocketAddress, MakesTheRoundTripThroughTheKernelsForm) {
    for (const char* text : {"192.0.2.7:99", "[2001:db8::7]:99"}) {
        const SocketAddress address = SocketAddress::parse(text).value();
        sockaddr_storage native{};
        std::memcpy(&native, address.native(), address.native_size());
        EXPECT_EQ(SocketAddress::from_native(native), address);
        EXPECT_EQ(native.ss_family, address.family());
        EXPECT_EQ(address.native_size(),
                  address.is_ipv6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
    }
}

}  // namespace
}  // namespace coir::net
