#include "coir/net/tcp_listener.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <system_error>

#include "net/connected.hpp"
#include "net/socket_on.hpp"

namespace coir::net {
namespace {

using test::soon;

class TcpListenerOn : public test::SocketOn {};

INSTANTIATE_TEST_SUITE_P(Where, TcpListenerOn, test::everywhere(), test::name_of);

TEST_P(TcpListenerOn, WaitAcceptableLeavesTheConnectionInTheQueue) {
    run([] {
        TcpListener listener = test::listen_somewhere();
        EXPECT_EQ(listener.try_accept_from().error(), std::errc::resource_unavailable_try_again);
        EXPECT_EQ(listener.wait_acceptable(Deadline::after(std::chrono::milliseconds(5))).error(),
                  std::errc::timed_out);
        const auto client = TcpStream::connect(listener.local_address().value(), soon()).value();
        ASSERT_TRUE(listener.wait_acceptable(soon()));
        const auto accepted = listener.try_accept_from().value();
        EXPECT_EQ(accepted.peer, client.local_address().value());
        listener.close();
        EXPECT_EQ(listener.wait_acceptable(soon()).error(), std::errc::operation_canceled);
    });
}

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
