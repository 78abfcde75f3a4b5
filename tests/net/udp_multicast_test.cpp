#include <gtest/gtest.h>
#include <net/if.h>

#include <string>

#include "coir/net/udp_socket.hpp"
#include "net/connected.hpp"

// Nothing here leaves the host: the hop limit is 0.
namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::as_bytes_of;
using test::as_space_of;
using test::soon;

class UdpMulticast : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] static SocketAddress any() {
        return SocketAddress::parse(GetParam() ? "::" : "0.0.0.0", 0).value();
    }
    [[nodiscard]] static SocketAddress group(std::uint16_t port) {
        return SocketAddress::parse(GetParam() ? "ff11::c01d" : "239.255.7.7", port).value();
    }
};

/// An interface through which `sender` reaches `group`: the loopback device where it has a route.
unsigned interface_towards(UdpSocket& sender, const SocketAddress& group) {
    struct if_nameindex* const all = ::if_nameindex();
    unsigned found = 0;
    for (auto* entry = all; entry != nullptr && entry->if_index != 0 && found == 0; ++entry) {
        if (sender.set_multicast_interface(entry->if_index) && sender.send_to({}, group, soon())) {
            found = entry->if_index;
        }
    }
    ::if_freenameindex(all);
    return found;
}

INSTANTIATE_TEST_SUITE_P(Family, UdpMulticast, testing::Bool(),
                         [](const auto& instance) { return instance.param ? "Ipv6" : "Ipv4"; });

TEST_P(UdpMulticast, MembersReceiveWhatIsSentToTheGroupUntilTheyLeave) {
    auto first = UdpSocket::bind(any(), {.share_address = true});
    if (!first) {
        GTEST_SKIP() << "no such family here: " << first.error().message();
    }
    const auto port = first->local_address().value().port();
    auto second = UdpSocket::bind(any().with_port(port), {.share_address = true}).value();
    auto sender = UdpSocket::bind(any()).value();
    ASSERT_TRUE(sender.set_multicast_ttl(0));
    const unsigned interface = interface_towards(sender, group(port));
    if (interface == 0) {
        GTEST_SKIP() << "no route for multicast here";
    }
    for (UdpSocket* member : {&*first, &second}) {
        ASSERT_TRUE(member->join_multicast(group(0), interface));
    }
    const auto send = [&](std::string_view text) {
        return sender.send_to(as_bytes_of(text), group(port), soon());
    };
    ASSERT_TRUE(send("all"));
    std::string space(16, '\0');
    for (UdpSocket* member : {&*first, &second}) {
        ASSERT_EQ(member->receive(as_space_of(space), soon()).value().size, 3U);
    }
    EXPECT_EQ(second.join_multicast(group(0), interface).error(), std::errc::address_in_use);
    ASSERT_TRUE(second.leave_multicast(group(0), interface));
    ASSERT_TRUE(first->leave_multicast(group(0), interface));
    EXPECT_EQ(second.leave_multicast(group(0), interface).error(),
              std::errc::address_not_available);
    ASSERT_TRUE(first->join_multicast(group(0), interface));
    ASSERT_TRUE(send("once more"));
    ASSERT_EQ(first->receive(as_space_of(space), soon()).value().size, 9U);
}

TEST_P(UdpMulticast, OptionsAreWhatWasSet) {
    auto socket = UdpSocket::bind(any());
    if (!socket) {
        GTEST_SKIP() << "no such family here: " << socket.error().message();
    }
    EXPECT_TRUE(socket->multicast_loop().value());
    ASSERT_TRUE(socket->set_multicast_loop(false));
    EXPECT_FALSE(socket->multicast_loop().value());
    EXPECT_EQ(socket->multicast_ttl().value(), 1);
    ASSERT_TRUE(socket->set_multicast_ttl(4));
    EXPECT_EQ(socket->multicast_ttl().value(), 4);
    EXPECT_FALSE(socket->set_multicast_interface(0x7ffffff0));
}

TEST_P(UdpMulticast, JoiningWhatIsNoGroupFails) {
    auto socket = UdpSocket::bind(any());
    if (!socket) {
        GTEST_SKIP() << "no such family here: " << socket.error().message();
    }
    const auto unicast = SocketAddress::parse(GetParam() ? "::1" : "127.0.0.1", 0).value();
    EXPECT_EQ(socket->join_multicast(unicast).error(), std::errc::invalid_argument);
    EXPECT_FALSE(socket->join_multicast(group(0), 0x7ffffff0));
}

}  // namespace
}  // namespace coir::net
