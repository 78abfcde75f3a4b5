#include "coir/net/resolver.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <netdb.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "coir/runtime/blocking.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "net/lookup.hpp"
#include "runtime/gate.hpp"
#include "support/patience.hpp"

namespace coir::net {
namespace {

using namespace std::chrono_literals;
using test::Gate;
using test::soon;
using Clock = Deadline::Clock;

SocketAddress address(const char* host, std::uint16_t port) {
    return SocketAddress::parse(host, port).value();
}

/// A name server that does not answer before the gate is opened.
Lookup stuck_at(Gate& gate) {
    return [&gate](const LookupRequest& request) -> Result<Addresses> {
        EXPECT_TRUE(gate.wait());
        return Addresses{address("192.0.2.1", request.port)};
    };
}

TEST(Resolver, ALiteralAddressIsItsOwnAnswerAndNeedsNoThread) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        EXPECT_EQ(resolve("192.0.2.7", 80, soon()).value(), Addresses{address("192.0.2.7", 80)});
        EXPECT_EQ(resolve("2001:db8::1", 80, soon()).value(),
                  Addresses{address("2001:db8::1", 80)});
        EXPECT_EQ(resolve("[::1]", "8080", soon()).value(), Addresses{address("::1", 8080)});
    });
    EXPECT_EQ(runtime.stats().blocking_threads, 0U);
}

TEST(Resolver, ALiteralAddressOfTheOtherFamilyIsRefused) {
    const ResolveOptions ipv4{.family = AddressFamily::ipv4};
    const ResolveOptions ipv6{.family = AddressFamily::ipv6};
    EXPECT_EQ(resolve("::1", 80, soon(), ipv4).error(), ResolveErrc::no_address);
    EXPECT_EQ(resolve("127.0.0.1", 80, soon(), ipv6).error(), ResolveErrc::no_address);
    EXPECT_TRUE(resolve("::1", 80, soon(), ipv6));
}

TEST(Resolver, RefusesWhatIsNoHostName) {
    using namespace std::string_view_literals;
    EXPECT_EQ(resolve("", 80, soon()).error(), ResolveErrc::malformed_host);
    EXPECT_EQ(resolve("local\0host"sv, 80, soon()).error(), ResolveErrc::malformed_host);
    EXPECT_EQ(resolve("127.0.0.1\0.example"sv, "http", soon()).error(),
              ResolveErrc::malformed_host);
    EXPECT_EQ(resolve(std::string(255, 'x'), 80, soon()).error(), ResolveErrc::malformed_host);
}

TEST(Resolver, RefusesAddressesInOldWaysOfWriting) {
    for (const char* const host : {"127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
                                   "127.0.0.1.", "127.0.0.256", "example.0x", "example.1"}) {
        EXPECT_EQ(resolve(host, 80, soon()).error(), ResolveErrc::malformed_host) << host;
        EXPECT_EQ(resolve(host, "http", soon()).error(), ResolveErrc::malformed_host) << host;
    }
}

TEST(Resolver, TakesALiteralWithAZoneWithAndWithoutBrackets) {
    if (::if_nametoindex("lo") == 0) {
        // A zone is the name of an interface, and lo is the only one that a host may be expected to have.
        GTEST_SKIP() << "no interface lo here";
    }
    const auto plain = resolve("fe80::1%lo", 80, soon());
    ASSERT_TRUE(plain) << plain.error().message();
    EXPECT_EQ(resolve("[fe80::1%lo]", 80, soon()).value(), *plain);
    EXPECT_EQ(resolve("[localhost]", 80, soon()).error(), ResolveErrc::host_not_found);
}

TEST(Resolver, RefusesWhatIsNoService) {
    using namespace std::string_view_literals;
    EXPECT_EQ(resolve("127.0.0.1", "65536", soon()).error(), ResolveErrc::unknown_service);
    EXPECT_EQ(resolve("127.0.0.1", "", soon()).error(), ResolveErrc::unknown_service);
    EXPECT_EQ(resolve("127.0.0.1", "ht\0tp"sv, soon()).error(), ResolveErrc::unknown_service);
    EXPECT_EQ(resolve("127.0.0.1", "no-such-service", soon()).error(),
              ResolveErrc::unknown_service);
}

TEST(Resolver, KnowsTheServicesOfTheSystem) {
    const auto found = resolve("[::1]", "http", soon());
    if (found.error() == ResolveErrc::unknown_service) {
        // Debian's package netbase brings it, which a minimal system does without.
        GTEST_SKIP() << "no /etc/services here";
    }
    EXPECT_EQ(found.value(), Addresses{address("::1", 80)});
}

TEST(Resolver, FindsLocalhostOnAFiberAndOnAPlainThread) {
    const ResolveOptions ipv4{.family = AddressFamily::ipv4, .only_configured_families = false};
    const auto here = resolve("localhost", 8080, soon(), ipv4);
    if (here.error().category() == resolve_category()) {
        // The name is the host's to know, and a bare root has no /etc/hosts.
        GTEST_SKIP() << "no localhost here: " << here.error().message();
    }
    EXPECT_EQ(*here, Addresses{address("127.0.0.1", 8080)});
    Runtime runtime({.workers = 1});
    const auto there = runtime.run([&] { return resolve("localhost", 8080, soon(), ipv4); });
    EXPECT_EQ(there.value(), *here);
}

TEST(Resolver, ErrorsOfGetaddrinfoHaveNames) {
    const std::error_code none;
    EXPECT_EQ(error_of(EAI_NONAME, none), ResolveErrc::host_not_found);
    EXPECT_EQ(error_of(EAI_NODATA, none), ResolveErrc::no_address);
    EXPECT_EQ(error_of(EAI_ADDRFAMILY, none), ResolveErrc::no_address);
    EXPECT_EQ(error_of(EAI_AGAIN, none), ResolveErrc::try_again);
    EXPECT_EQ(error_of(EAI_FAIL, none), ResolveErrc::server_failure);
    EXPECT_EQ(error_of(EAI_SERVICE, none), ResolveErrc::unknown_service);
    EXPECT_EQ(error_of(EAI_MEMORY, none), std::errc::not_enough_memory);
    const auto full = std::make_error_code(std::errc::too_many_files_open);
    EXPECT_EQ(error_of(EAI_SYSTEM, full), std::errc::too_many_files_open);
    EXPECT_EQ(error_of(EAI_SYSTEM, none), ResolveErrc::server_failure);
    EXPECT_EQ(make_error_code(ResolveErrc::try_again).message(),
              "no answer from a name server; try again later");
    EXPECT_STREQ(make_error_code(ResolveErrc::try_again).category().name(), "coir.resolve");
}

TEST(Resolver, ALookupRunsOffTheWorkerAndItsOutcomeComesBack) {
    Runtime runtime({.workers = 1});
    runtime.run([] {
        const auto worker = std::this_thread::get_id();
        const auto found = resolve_by(
            [&](const LookupRequest& request) -> Result<Addresses> {
                EXPECT_NE(std::this_thread::get_id(), worker);
                EXPECT_EQ(request.host, "example");
                return Addresses{address("192.0.2.1", request.port)};
            },
            {.host = "example", .port = 80}, soon());
        EXPECT_EQ(found.value(), Addresses{address("192.0.2.1", 80)});
        const auto failed = resolve_by(
            [](const LookupRequest&) -> Result<Addresses> { return ResolveErrc::host_not_found; },
            {.host = "example"}, soon());
        EXPECT_EQ(failed.error(), ResolveErrc::host_not_found);
        const auto exhausted =
            resolve_by([](const LookupRequest&) -> Result<Addresses> { throw std::bad_alloc(); },
                       {.host = "example"}, soon());
        EXPECT_EQ(exhausted.error(), std::errc::not_enough_memory);
    });
}

TEST(Resolver, ALookupThatIsStuckIsLeftBehindAtItsDeadline) {
    Gate gate;
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        std::atomic<bool> others_run{false};
        auto other = spawn([&] { others_run = true; });
        const auto begin = Clock::now();
        const auto found = resolve_by(stuck_at(gate), {.host = "example"}, Deadline::after(10ms));
        EXPECT_EQ(found.error(), std::errc::timed_out);
        EXPECT_GE(Clock::now() - begin, 10ms);
        EXPECT_TRUE(others_run);
        other.join();
    });
    gate.open();  // stop() waits for the lookup
}

TEST(Resolver, ALookupThatIsStuckIsLeftBehindWhenItsFiberIsToStop) {
    Gate gate;
    Runtime runtime({.workers = 1});
    runtime.run([&] {
        auto fiber =
            spawn([&] { return resolve_by(stuck_at(gate), {.host = "example"}, soon()).error(); });
        spawn([] {}).join();
        fiber.request_stop();
        EXPECT_EQ(fiber.join(), std::errc::operation_canceled);
    });
    gate.open();
}

TEST(Resolver, ALookupThatIsStuckHoldsUpNoStopWithLimits) {
    const auto gate = std::make_shared<Gate>();
    // Left behind before the runtime is to stop, and because it is.
    for (const auto patience : {Deadline::after(10ms), soon()}) {
        Runtime runtime({.workers = 1});
        runtime
            .spawn([gate, patience] {
                const auto stuck = [gate](const LookupRequest&) -> Result<Addresses> {
                    EXPECT_TRUE(gate->wait());
                    return ResolveErrc::try_again;
                };
                EXPECT_FALSE(resolve_by(stuck, {.host = "example"}, patience));
            })
            .detach();
        const auto begin = Clock::now();
        EXPECT_TRUE(runtime.stop(Deadline::after(50ms), 50ms).empty());
        EXPECT_LT(Clock::now() - begin, test::kPatience / 2) << "it waited for the lookup";
    }
    EXPECT_GT(gate.use_count(), 1) << "no lookup was stuck";
    gate->open();
    EXPECT_TRUE(test::holds_before(soon(), [&] { return gate.use_count() == 1; }));
}

TEST(Resolver, LookupsThatAreStuckLeaveThreadsForOtherCalls) {
    Gate gate;
    std::atomic<int> begun{0};
    Runtime runtime({.workers = 2, .blocking_threads = 4});
    runtime.run([&] {
        const auto stuck = [&](const LookupRequest&) -> Result<Addresses> {
            ++begun;
            EXPECT_TRUE(gate.wait());
            return ResolveErrc::try_again;
        };
        std::vector<FiberHandle<std::error_code>> fibers;
        for (int i = 0; i != 32; ++i) {
            fibers.push_back(spawn([&] {
                return resolve_by(stuck, {.host = "example"}, Deadline::after(20ms)).error();
            }));
        }
        for (auto& fiber : fibers) {
            EXPECT_EQ(fiber.join(), std::errc::timed_out);
        }
        EXPECT_LE(begun, 2);
        for (int i = 0; i != 8; ++i) {
            blocking([] {}, soon());  // throws if there is no thread for it
        }
        // A lookup that waits for its turn waits no longer than its deadline.
        EXPECT_EQ(resolve_by(stuck, {.host = "example"}, Deadline::after(2ms)).error(),
                  std::errc::timed_out);
        gate.open();
        EXPECT_EQ(resolve_by(stuck, {.host = "example"}, soon()).error(), ResolveErrc::try_again);
    });
}

}  // namespace
}  // namespace coir::net
