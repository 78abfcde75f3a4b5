#include "coir/net/connect.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/connected.hpp"
#include "runtime/descriptors.hpp"
#include "support/patience.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::listen_somewhere;
using test::soon;
using Clock = Deadline::Clock;

/// The next attempt begins after a failure only.
constexpr HappyEyeballsOptions kPatient{.attempt_delay = std::chrono::hours(1)};
constexpr HappyEyeballsOptions kHasty{.attempt_delay = 10ms};

SocketAddress address_of(const TcpListener& listener) {
    return listener.local_address().value();
}

/// A port that nobody listens on, and nobody else can get.
class ClosedPort final {
public:
    explicit ClosedPort(const SocketAddress& at = SocketAddress::loopback(0))
        : socket_(syscall::socket(at.family(), SOCK_STREAM, 0).value()) {
        syscall::bind(socket_.get(), at.native(), at.native_size()).value();
    }
    [[nodiscard]] SocketAddress address() const {
        sockaddr_storage native{};
        socklen_t length = 0;
        syscall::local_address(socket_.get(), native, length).value();
        return SocketAddress::from_native(native);
    }

private:
    UniqueFd socket_;
};

/// An address where connects hang: the kernel drops them while the listener's queue is full.
class BlackHole final {
public:
    BlackHole() : listener_(listen_somewhere({.backlog = 0})) {
        for (;;) {
            auto stream = TcpStream::connect(address(), Deadline::after(50ms));
            if (!stream) {
                if (stream.error() != std::errc::timed_out) {
                    throw std::system_error(stream.error(), "black hole");
                }
                return;
            }
            queued_.push_back(*std::move(stream));
        }
    }
    [[nodiscard]] SocketAddress address() const { return address_of(listener_); }

private:
    TcpListener listener_;
    std::vector<TcpStream> queued_;
};

std::uint16_t port_reached(const Result<TcpStream>& stream) {
    return stream.value().peer_address().value().port();
}

TEST(Connect, AFailureLetsTheNextAttemptBeginAtOnce) {
    const ClosedPort closed;
    const auto listener = listen_somewhere();
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        const std::array addresses{closed.address(), closed.address(), address_of(listener)};
        const auto stream = connect(addresses, soon(), kPatient);
        EXPECT_EQ(port_reached(stream), address_of(listener).port());
    });
}

TEST(Connect, AnAttemptThatHangsLetsTheNextOneBeginBesideIt) {
    const BlackHole first;
    const BlackHole second;
    const auto listener = listen_somewhere();
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        const std::array addresses{first.address(), second.address(), address_of(listener)};
        const auto begin = Clock::now();
        const auto stream = connect(addresses, soon(), kHasty);
        EXPECT_EQ(port_reached(stream), address_of(listener).port());
        EXPECT_GE(Clock::now() - begin, 20ms) << "each attempt has its time alone";
    });
}

TEST(Connect, TheLosersAreClosed) {
    const BlackHole hole;
    const auto listener = listen_somewhere();
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        const std::array addresses{hole.address(), address_of(listener)};
        const auto before = test::open_descriptors();
        {
            const auto stream = connect(addresses, soon(), kHasty);
            ASSERT_TRUE(stream);
            EXPECT_EQ(test::open_descriptors(), before + 1);
        }
        EXPECT_EQ(test::open_descriptors(), before);
    });
}

TEST(Connect, AddressesBehindOneThatAnswersAreLeftAlone) {
    auto first = listen_somewhere();
    auto second = listen_somewhere();
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        const std::array addresses{address_of(first), address_of(second)};
        EXPECT_EQ(port_reached(connect(addresses, soon(), kPatient)), address_of(first).port());
        EXPECT_TRUE(first.try_accept());
        EXPECT_EQ(second.try_accept().error(), std::errc::resource_unavailable_try_again);
    });
}

TEST(Connect, SaysWhatTellsMostIfAllAttemptsFail) {
    const ClosedPort closed;
    const SocketAddress nowhere = SocketAddress::parse("255.255.255.255", 9).value();
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        const auto alone = TcpStream::connect(nowhere, soon());
        ASSERT_FALSE(alone);
        EXPECT_EQ(connect(std::array{nowhere, nowhere}, soon(), kHasty).error(), alone.error());
        EXPECT_EQ(connect(std::array{closed.address(), nowhere}, soon(), kHasty).error(),
                  std::errc::connection_refused);
        EXPECT_EQ(connect(std::array{closed.address()}, soon()).error(),
                  std::errc::connection_refused);
        EXPECT_EQ(connect({}, soon()).error(), std::errc::destination_address_required);
    });
}

TEST(Connect, EndsAtItsDeadline) {
    const BlackHole first;
    const BlackHole second;
    const ClosedPort closed;
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        const std::array addresses{closed.address(), first.address(), second.address()};
        const auto before = test::open_descriptors();
        const auto begin = Clock::now();
        EXPECT_EQ(connect(addresses, Deadline::after(40ms), kHasty).error(), std::errc::timed_out);
        EXPECT_GE(Clock::now() - begin, 40ms);
        EXPECT_EQ(connect(addresses, Deadline::after(5ms), kPatient).error(), std::errc::timed_out);
        const this_fiber::DeadlineScope all(Deadline::after(5ms));
        EXPECT_EQ(connect(addresses, soon(), kPatient).error(), std::errc::timed_out);
        EXPECT_EQ(test::open_descriptors(), before);
    });
}

TEST(Connect, EndsWhenItsFiberIsToStop) {
    const BlackHole first;
    const BlackHole second;
    const ClosedPort closed;
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        const auto before = test::open_descriptors();
        auto connecting = spawn([&] {
            return connect(std::array{first.address(), second.address()}, soon(), kHasty).error();
        });
        this_fiber::sleep_for(15ms);  // one attempt or two
        connecting.request_stop();
        EXPECT_EQ(connecting.join(), std::errc::operation_canceled);
        // That another address has failed before says nothing of this end.
        for (int round = 0; round != 100; ++round) {
            connecting = spawn([&] {
                return connect(std::array{closed.address(), first.address()}, soon(), kHasty)
                    .error();
            });
            spawn([] {}).join();
            connecting.request_stop();
            EXPECT_EQ(connecting.join(), std::errc::operation_canceled);
        }
        EXPECT_EQ(test::open_descriptors(), before);
    });
}

TEST(Connect, TriesNoMoreAddressesThanItMay) {
    const ClosedPort closed;
    const auto listener = listen_somewhere();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        const std::array addresses{closed.address(), closed.address(), address_of(listener)};
        EXPECT_EQ(connect(addresses, soon(), {.max_addresses = 2}).error(),
                  std::errc::connection_refused);
        EXPECT_TRUE(connect(addresses, soon(), {.max_addresses = 3}));
    });
}

TEST(Connect, FamiliesTakeTurns) {
    const SocketAddress any_port = SocketAddress::parse("::1", 0).value();
    const auto listener = TcpListener::bind(any_port);
    if (listener.error() == std::errc::address_not_available ||
        listener.error() == std::errc::address_family_not_supported) {
        // Containers often have no IPv6, and without a second family there is nothing to take turns with.
        GTEST_SKIP() << "no ::1 here: " << listener.error().message();
    }
    ASSERT_TRUE(listener) << listener.error().message();
    const ClosedPort closed;
    const SocketAddress open = listener->local_address().value();
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        const std::array addresses{closed.address(), closed.address(), open};
        // Two attempts at most: the second is that of the other family.
        const auto stream = connect(addresses, soon(), {.max_addresses = 2});
        EXPECT_EQ(stream.value().peer_address().value(), open);
    });
}

TEST(Connect, APlainThreadTriesOneAddressAfterTheOtherEachWithItsShare) {
    const BlackHole hole;
    const ClosedPort closed;
    const auto listener = listen_somewhere();
    const std::array addresses{hole.address(), closed.address(), address_of(listener)};
    EXPECT_EQ(port_reached(connect(addresses, Deadline::after(900ms))),
              address_of(listener).port());
    EXPECT_EQ(connect(std::span(addresses).first(2), Deadline::after(50ms)).error(),
              std::errc::connection_refused);
    constexpr auto kBeforeAllTime = Deadline::at(Clock::time_point::min());
    EXPECT_EQ(connect(std::array{hole.address(), hole.address()}, kBeforeAllTime).error(),
              std::errc::timed_out);
}

TEST(Connect, FindsAHostByItsName) {
    const auto listener = listen_somewhere();
    const std::uint16_t port = address_of(listener).port();
    Runtime runtime({.workers = 1});
    const auto stream = runtime.run([&] { return connect("localhost", port, soon()); });
    if (stream.error().category() == resolve_category()) {
        // The name is the host's to know, and a bare root has no /etc/hosts; the attempts have tests of their own.
        GTEST_SKIP() << "no localhost here: " << stream.error().message();
    }
    EXPECT_EQ(port_reached(stream), port);
    EXPECT_TRUE(runtime.run([&] { return connect("127.0.0.1", port, soon()); }));
    EXPECT_EQ(runtime.run([&] { return connect("", port, soon()); }).error(),
              ResolveErrc::malformed_host);
}

TEST(Connect, ManyRacesLeaveNothingBehind) {
    const ClosedPort closed;
    auto first = listen_somewhere();
    auto second = listen_somewhere();
    Runtime runtime({.workers = 2});
    runtime.run([&] {
        const auto before = test::open_descriptors();
        std::vector<FiberHandle<void>> fibers;
        for (int i = 0; i != 16; ++i) {
            fibers.push_back(spawn([&] {
                const std::array addresses{closed.address(), address_of(first), closed.address(),
                                           address_of(second)};
                for (int round = 0; round != 10; ++round) {
                    const auto stream = connect(addresses, soon(), kHasty);
                    ASSERT_TRUE(stream) << stream.error().message();
                }
            }));
        }
        for (auto& fiber : fibers) {
            fiber.join();
        }
        EXPECT_EQ(test::open_descriptors(), before);
    });
}

}  // namespace
}  // namespace coir::net
