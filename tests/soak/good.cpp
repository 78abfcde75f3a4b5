#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
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

void ask(World& world, Client& client, const Question& question) {
    client.send(question.bytes);
    expect_answer(client, question);
    ++world.answered;
    if (question.closes) {
        client.expect_end();
    }
}

void keep_alive(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    for (int left = 1 + random.below(60); left > 0 && !world.is_over; --left) {
        ask(world, client, any_question(random, false));
    }
    if (random.below(2) == 0) {
        ask(world, client, last_question(random));
    }
}

void short_lived(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    ask(world, client, last_question(random));
}

// A burst may end with a request that ends the connection, or with one that is none.
void pipelined(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    for (int bursts = 1 + random.below(4); bursts > 0; --bursts) {
        std::vector<Question> questions;
        for (int left = 2 + random.below(30); left > 0; --left) {
            questions.push_back(any_question(random, true));
        }
        const int end = bursts == 1 ? random.below(3) : 0;
        if (end == 1) {
            questions.push_back(last_question(random));
        } else if (end == 2) {
            questions.push_back({.bytes = "GET /hello HTTP/1.1\r\nHost : soak\r\n\r\n",
                                 .path = "malformed",
                                 .status = 400,
                                 .body = {},
                                 .closes = true,
                                 .says_body = false});
        }
        std::string bytes;
        for (const Question& question : questions) {
            bytes += question.bytes;
        }
        client.send(bytes);
        for (const Question& question : questions) {
            expect_answer(client, question);
            ++world.answered;
        }
        if (questions.back().closes) {
            client.expect_end();
            return;
        }
    }
}

void by_pieces(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    const Question question = any_question(random, true);
    std::string_view rest = question.bytes;
    while (!rest.empty()) {
        const auto size = std::min(rest.size(), static_cast<std::size_t>(1 + random.below(200)));
        client.send(rest.substr(0, size));
        rest.remove_prefix(size);
        (void)this_fiber::sleep_for(milliseconds(random.below(3)));
    }
    expect_answer(client, question);
    ++world.answered;
}

// Says that it is done, and is answered all the same.
void half_closed(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    const Question first = any_question(random, true);
    const Question second = any_question(random, false);
    client.send(first.bytes + second.bytes);
    client.finish_sending();
    expect_answer(client, first);
    expect_answer(client, second);
    world.answered += 2;
    client.expect_end();
}

void expects_continue(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    const std::string body = pattern(static_cast<std::size_t>(1 + random.below(50'000)));
    const std::string whole = post("/whole", body, "Expect: 100-continue\r\n");
    client.send(std::string_view(whole).substr(0, whole.size() - body.size()));
    client.expect_continue();
    client.send(body);
    expect_answer(client, {.bytes = {}, .path = "100-continue /whole", .body = body});
    ++world.answered;
}

// With the first words of the other protocol behind the request.
void leave_http(World& world, SmallRandom& random) {
    Client client(world.any_server(random));
    std::string said = pattern(static_cast<std::size_t>(random.below(3000)));
    client.send(get("/leave", "Connection: upgrade\r\nUpgrade: echo\r\n") + said);
    if (const test::HttpReply reply = client.reply(); reply.status != 101) {
        throw Wrong("status " + std::to_string(reply.status) + " instead of 101");
    }
    client.expect_bytes(said);
    for (int left = random.below(5); left > 0; --left) {
        said = pattern(static_cast<std::size_t>(1 + random.below(20'000)));
        client.send(said);
        client.expect_bytes(said);
    }
    ++world.answered;
    if (random.below(3) == 0) {
        client.reset_at_the_end();
    } else {
        client.finish_sending();
        client.expect_end();
    }
}

void use_up_connection(World& world, SmallRandom& random) {
    constexpr std::uint64_t kBurst = 50;
    static_assert(kMaxRequests % kBurst == 0);
    Client client(world.any_server(random));
    std::string burst;
    for (std::uint64_t i = 0; i < kBurst; ++i) {
        burst += get("/hello");
    }
    for (std::uint64_t asked = 0; asked < kMaxRequests; asked += kBurst) {
        client.send(burst);
        for (std::uint64_t i = 1; i <= kBurst; ++i) {
            expect_answer(client, {.bytes = {},
                                   .path = "one of many /hello",
                                   .body = "hello",
                                   .closes = asked + i == kMaxRequests});
        }
        world.answered += kBurst;
    }
    client.expect_end();
}

}  // namespace

const std::vector<Behaviour>& good_behaviours() {
    static const std::vector<Behaviour> behaviours = {
        {"keep-alive", keep_alive, 6},   {"short-lived", short_lived, 12},
        {"pipelined", pipelined, 12},    {"by pieces", by_pieces, 4},
        {"half-closed", half_closed, 4}, {"expects 100", expects_continue, 3},
        {"leaves HTTP", leave_http, 3},  {"used up", use_up_connection, 1},
    };
    return behaviours;
}

}  // namespace coir::soak
