#include "coir/net/tcp_listener.hpp"

#include <gtest/gtest.h>

#include <system_error>

namespace coir::net {
namespace {

TEST(TcpListener, FindFreeChoosesAPortThatCanBeBound) {
    const auto found = TcpListener::find_free(SocketAddress::loopback(0)).value();
    EXPECT_NE(found.port(), 0);
    for (const bool share_port : {false, true}) {
        const auto listener = TcpListener::bind(found, {.share_port = share_port});
        EXPECT_EQ(listener.value().local_address().value(), found);
    }
}

TEST(TcpListener, FindFreeFindsNoPortOnWhichSomebodyListens) {
    for (const bool share_port : {false, true}) {
        const auto listener =
            TcpListener::bind(SocketAddress::loopback(0), {.share_port = share_port}).value();
        const auto address = listener.local_address().value();
        EXPECT_EQ(TcpListener::find_free(address).error(), std::errc::address_in_use);
        EXPECT_EQ(TcpListener::find_free(SocketAddress::any(address.port())).error(),
                  std::errc::address_in_use);
    }
}

}  // namespace
}  // namespace coir::net
