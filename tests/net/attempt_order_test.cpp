#include "net/attempt_order.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace coir::net {
namespace {

using Texts = std::vector<std::string>;

Texts in_turns_of(std::initializer_list<const char*> hosts, std::size_t most = 100) {
    std::vector<SocketAddress> addresses;
    for (const char* const host : hosts) {
        addresses.push_back(SocketAddress::parse(host, 80).value());
    }
    Texts texts;
    for (const auto& address : in_turns(addresses, most)) {
        texts.push_back(address.host_to_string());
    }
    return texts;
}

TEST(AttemptOrder, FamiliesTakeTurnsBeginningWithThatOfTheBest) {
    EXPECT_EQ(in_turns_of({"::1", "::2", "::3", "10.0.0.1", "10.0.0.2"}),
              (Texts{"::1", "10.0.0.1", "::2", "10.0.0.2", "::3"}));
    EXPECT_EQ(in_turns_of({"10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"}),
              (Texts{"10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"}));
}

TEST(AttemptOrder, OneFamilyKeepsItsOrder) {
    EXPECT_EQ(in_turns_of({"10.0.0.3", "10.0.0.1", "10.0.0.2"}),
              (Texts{"10.0.0.3", "10.0.0.1", "10.0.0.2"}));
    EXPECT_EQ(in_turns_of({}), Texts{});
}

TEST(AttemptOrder, BothFamiliesFindRoomUnderTheLimit) {
    EXPECT_EQ(in_turns_of({"::1", "::2", "::3", "10.0.0.1"}, 2), (Texts{"::1", "10.0.0.1"}));
    EXPECT_EQ(in_turns_of({"::1", "10.0.0.1"}, 0), Texts{});
}

std::errc telling(std::errc earlier, std::errc later) {
    return static_cast<std::errc>(
        more_telling(std::make_error_code(earlier), std::make_error_code(later)).value());
}

TEST(AttemptOrder, AHostThatAnsweredTellsMoreThanASilentOneAndThatMoreThanNone) {
    using enum std::errc;
    EXPECT_EQ(telling(connection_refused, timed_out), connection_refused);
    EXPECT_EQ(telling(timed_out, connection_refused), connection_refused);
    EXPECT_EQ(telling(network_unreachable, timed_out), timed_out);
    EXPECT_EQ(telling(timed_out, network_unreachable), timed_out);
    EXPECT_EQ(telling(network_unreachable, operation_canceled), network_unreachable);
    EXPECT_EQ(telling(network_unreachable, host_unreachable), host_unreachable) << "the last";
    EXPECT_EQ(more_telling({}, std::make_error_code(network_unreachable)), network_unreachable);
}

}  // namespace
}  // namespace coir::net
