#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "behaviours.hpp"
#include "coir/base/deadline.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "listening.hpp"
#include "routes.hpp"

namespace coir::soak {
namespace {

using std::chrono::milliseconds;
using Clock = Deadline::Clock;

// A loaded machine, and a sanitizer.
constexpr milliseconds kMargin{20'000};

// Sends `byte` again and again. Returns once the server has ended the connection, or a client that
// is not `stubborn` has got tired.
void drip(World& world, SmallRandom& random, Client& client, std::string_view byte,
          milliseconds limit) {
    const auto begin = Clock::now();
    const bool is_stubborn = random.below(3) == 0;
    const auto patience = is_stubborn ? limit : milliseconds(random.below(6000));
    while (!world.is_over && Clock::now() - begin < patience) {
        if (client.ends_within(milliseconds(50 + random.below(300)))) {
            if (!is_stubborn || !client.try_send(byte)) {
                return;
            }
            (void)this_fiber::sleep_for(milliseconds(50));
        } else if (!client.try_send(byte)) {
            return;
        }
    }
    if (is_stubborn && !world.is_over) {
        throw Wrong("a client that drips is not cut");
    }
    if (random.below(2) == 0) {
        client.reset_at_the_end();
    }
}

void drip_head(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    (void)client.try_send("GET /hello HTTP/1.1\r\nHost: soak\r\nX-Long: ");
    drip(world, random, client, "x", kHeaderTimeout + kLingerTimeout + kMargin);
}

void drip_body(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    static const std::vector<std::string_view> paths = {"/whole", "/count", "/pieces", "/unread"};
    const auto path = paths[static_cast<std::size_t>(random.below(4))];
    const bool chunked = random.below(2) == 0;
    const std::string head =
        "POST " + std::string(path) + " HTTP/1.1\r\nHost: soak\r\n" +
        (chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: 10000\r\n\r\n");
    (void)client.try_send(head);
    drip(world, random, client, chunked ? "1\r\nx\r\n" : "x",
         kBodyTimeout + kLingerTimeout + kMargin);
}

void say_nothing(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    if (random.below(2) == 0) {
        (void)client.try_send(get("/hello"));
    }
    if (!client.ends_within(kIdleTimeout + kLingerTimeout + kMargin) && !world.is_over) {
        throw Wrong("a silent client is not cut");
    }
}

// Asks for much, and takes little of it, or nothing; then all that is still there.
void read_slowly(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    static const std::vector<std::string> paths = {"/large", "/large", "/stream/1000000", "/file"};
    std::string bytes;
    for (int i = 0; i < 12; ++i) {
        bytes += get(paths[static_cast<std::size_t>(random.below(4))]);
    }
    (void)client.try_send(bytes);
    const bool takes_some = random.below(2) == 0;
    const auto end = Clock::now() + kWriteTimeout + milliseconds(1500);
    while (!world.is_over && Clock::now() < end) {
        (void)this_fiber::sleep_for(milliseconds(250));
        if (takes_some) {
            client.read_some(50);
        }
    }
    // What lies in the kernels, and then the end; or more, on a machine so busy that the server was
    // late.
    client.read_some(2 * kLargeBytes);
}

// Makes the server wait, but not longer than it is willing to.
void read_late(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    client.send(get("/large") + get("/large") + get("/large"));
    (void)this_fiber::sleep_for(milliseconds(random.below(1000)));
    for (int i = 0; i < 3; ++i) {
        expect_answer(client,
                      {.bytes = {}, .path = "late reader /large", .body = pattern(kLargeBytes)});
        ++world.answered;
    }
}

}  // namespace

const std::vector<Behaviour>& slow_behaviours() {
    static const std::vector<Behaviour> behaviours = {
        {"dripping head", drip_head, 4}, {"dripping body", drip_body, 4},
        {"silence", say_nothing, 1},     {"slow reader", read_slowly, 3},
        {"late reader", read_late, 2},
    };
    return behaviours;
}

}  // namespace coir::soak
