#include "http/address_counts.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace coir::http {
namespace {

AddressCounts::Client client(std::string_view host) {
    return AddressCounts::client_of(net::SocketAddress::parse(host, 80).value());
}

TEST(AddressCounts, AnIPv4AddressIsOneClient) {
    EXPECT_EQ(client("192.0.2.1"),
              AddressCounts::client_of(net::SocketAddress::parse("192.0.2.1", 81).value()));
    EXPECT_NE(client("192.0.2.1"), client("192.0.2.2"));
    EXPECT_NE(client("192.0.2.1"), client("1.2.0.192"));
}

TEST(AddressCounts, AnIPv6NetworkOf64BitsIsOneClient) {
    EXPECT_EQ(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    EXPECT_NE(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
    EXPECT_NE(client("2001:db8:1:2::1"), client("2001:db9:1:2::1"));
}

TEST(AddressCounts, AnIPv4AddressInIPv6IsTheSameClient) {
    EXPECT_EQ(client("::ffff:192.0.2.1"), client("192.0.2.1"));
    EXPECT_NE(client("::ffff:192.0.2.1"), client("::ffff:192.0.2.2"));
    EXPECT_NE(client("::fffe:c000:201"), client("192.0.2.1"));
}

TEST(AddressCounts, EachClientHasALimitOfItsOwn) {
    AddressCounts counts;
    const auto one = client("192.0.2.1");
    const auto other = client("192.0.2.2");
    EXPECT_TRUE(counts.try_add(one, 2));
    EXPECT_TRUE(counts.try_add(one, 2));
    EXPECT_FALSE(counts.try_add(one, 2));
    EXPECT_TRUE(counts.try_add(other, 2));
    counts.remove(one);
    EXPECT_TRUE(counts.try_add(one, 2));
    EXPECT_FALSE(counts.try_add(one, 2));
    EXPECT_FALSE(counts.try_add(client("192.0.2.3"), 0));
}

TEST(AddressCounts, ManyClientsAreCountedApart) {
    AddressCounts counts;
    constexpr AddressCounts::Client kClients = 10'000;
    for (AddressCounts::Client each = 0; each < kClients; ++each) {
        ASSERT_TRUE(counts.try_add(each << 20, 1));
    }
    for (AddressCounts::Client each = 0; each < kClients; ++each) {
        ASSERT_FALSE(counts.try_add(each << 20, 1));
        counts.remove(each << 20);
        ASSERT_TRUE(counts.try_add(each << 20, 1));
    }
}

}  // namespace
}  // namespace coir::http
