#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "behaviours.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "listening.hpp"
#include "routes.hpp"

namespace coir::soak {
namespace {

using std::chrono::milliseconds;

// Beyond the longest that the server keeps a connection on which nothing happens.
constexpr milliseconds kLongest = kIdleTimeout + kLingerTimeout + milliseconds(20'000);

void leave(Client& client, SmallRandom& random) {
    if (random.below(2) == 0) {
        client.reset_at_the_end();
    }
}

// What the server has to say to it is for other tests. Here it has to come to an end.
void send_wire_case(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    const auto which = static_cast<int>(world.wire_inputs.size());
    const std::string& input = world.wire_inputs[static_cast<std::size_t>(random.below(which))];
    const auto cut = static_cast<std::size_t>(random.below(static_cast<int>(input.size()) + 1));
    if (client.try_send(std::string_view(input).substr(0, cut)) &&
        client.try_send(std::string_view(input).substr(cut)) && random.below(8) != 0) {
        client.finish_sending();
    }
    (void)client.rest(kLongest);
}

void send_garbage(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    std::string garbage(static_cast<std::size_t>(1 + random.below(3000)), '\0');
    for (char& byte : garbage) {
        byte = static_cast<char>(random.below(256));
    }
    if (client.try_send(garbage)) {
        client.finish_sending();
    }
    (void)client.rest(kLongest);
}

// Good requests, but for one byte.
void send_damaged(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    std::string bytes = any_question(random, true).bytes + any_question(random, true).bytes;
    const auto at = static_cast<std::size_t>(random.below(static_cast<int>(bytes.size())));
    bytes[at] = static_cast<char>(random.below(256));
    if (client.try_send(bytes)) {
        client.finish_sending();
    }
    (void)client.rest(kLongest);
}

void say_nothing(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    leave(client, random);
}

void break_off_request(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    const std::string bytes = any_question(random, false).bytes;
    const auto cut = static_cast<std::size_t>(random.below(static_cast<int>(bytes.size())));
    (void)client.try_send(std::string_view(bytes).substr(0, cut));
    (void)this_fiber::sleep_for(milliseconds(random.below(10)));
    leave(client, random);
}

void break_off_reply(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    static const std::vector<std::string> paths = {"/large", "/stream/300000", "/file", "/hello",
                                                   "/throws-late"};
    std::string bytes;
    for (int left = 1 + random.below(3); left > 0; --left) {
        bytes += get(paths[static_cast<std::size_t>(random.below(static_cast<int>(paths.size())))]);
    }
    (void)client.try_send(bytes);
    client.read_some(static_cast<std::size_t>(random.below(100'000)));
    leave(client, random);
}

// While a handler waits for something else, streams, or reads a body.
void leave_handler_alone(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    switch (random.below(4)) {
        case 0: (void)client.try_send(get("/wait/2000")); break;
        case 1: (void)client.try_send(get("/sleep/50") + get("/wait/2000")); break;
        case 2: (void)client.try_send(get("/blocking") + get("/fan-out")); break;
        case 3: {
            const std::string bytes = post("/pieces", pattern(20'000));
            (void)client.try_send(std::string_view(bytes).substr(0, 10'000));
            break;
        }
    }
    (void)this_fiber::sleep_for(milliseconds(random.below(30)));
    leave(client, random);
}

// Sends on behind a refusal.
void send_on(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    const std::string body = pattern(100'000);
    if (client.try_send(post("/form", body))) {
        (void)client.try_send(body);
    }
    client.finish_sending();
    (void)client.rest(kLongest);
}

}  // namespace

const std::vector<Behaviour>& bad_behaviours() {
    static const std::vector<Behaviour> behaviours = {
        {"wire case", send_wire_case, 10},
        {"garbage", send_garbage, 3},
        {"damaged", send_damaged, 6},
        {"silent", say_nothing, 3},
        {"request broken off", break_off_request, 8},
        {"reply broken off", break_off_reply, 6},
        {"handler left alone", leave_handler_alone, 6},
        {"sends on", send_on, 2},
    };
    return behaviours;
}

}  // namespace coir::soak
