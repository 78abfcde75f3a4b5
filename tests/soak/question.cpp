#include "question.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <utility>

#include "routes.hpp"

namespace coir::soak {
namespace {

constexpr std::string_view kHost = " HTTP/1.1\r\nHost: soak\r\n";

std::size_t any_size(SmallRandom& random, int limit) {
    // Most are short; and the exponent is as random as the digits.
    int size = limit;
    while (size > 10 && random.below(3) != 0) {
        size /= 8;
    }
    return static_cast<std::size_t>(random.below(size + 1));
}

Question plain(std::string path, std::string body) {
    return {.bytes = get(path), .path = path, .body = std::move(body)};
}

Question with_body(SmallRandom& random, std::string path, std::string body, std::string answer) {
    const bool chunked = random.below(2) == 0;
    return {.bytes = chunked ? post_chunked(random, path, body) : post(path, body),
            .path = path,
            .body = std::move(answer)};
}

Question refused(std::string bytes, std::string path, int status, bool closes) {
    return {.bytes = std::move(bytes),
            .path = std::move(path),
            .status = status,
            .body = {},
            .closes = closes,
            .says_body = false};
}

Question small_question(SmallRandom& random) {
    switch (random.below(15)) {
        default: return plain("/hello", "hello");
        case 3: {
            const std::string x = std::to_string(random.below(1'000'000));
            return plain("/query?a=b&x=" + x + "&x=7", x);
        }
        case 4:
        case 5: {
            std::string body = pattern(any_size(random, 2000));
            return with_body(random, "/whole", body, body);
        }
        case 6: {
            std::string body = pattern(any_size(random, 2000));
            return with_body(random, "/pieces", body, body);
        }
        case 7: return with_body(random, "/unread", pattern(any_size(random, 2000)), "/unread");
        case 8: return with_body(random, "/early", pattern(1 + any_size(random, 2000)), "early");
        case 9:
            return {.bytes = "HEAD /hello" + std::string(kHost) + "\r\n",
                    .path = "HEAD /hello",
                    .body = {},
                    .to_head = true};
        case 10: {
            const std::size_t size = any_size(random, 3000);
            return plain("/stream/" + std::to_string(size), pattern(size));
        }
        case 11:
            return {.bytes = get("/trailer", "TE: trailers\r\n"),
                    .path = "/trailer",
                    .body = "some text",
                    .sum = "9"};
        case 12: return plain("/fan-out", "6");
        case 13: return refused(get("/nowhere"), "/nowhere", 404, false);
        case 14: return refused(post("/hello", "x"), "POST /hello", 405, false);
    }
}

}  // namespace

Question any_question(SmallRandom& random, bool small) {
    if (small || random.below(8) != 0) {
        return small_question(random);
    }
    switch (random.below(7)) {
        default: {
            std::string body = pattern(any_size(random, 300'000));
            return with_body(random, "/whole", body, body);
        }
        case 1: {
            const std::size_t size = any_size(random, 1'500'000);
            return with_body(random, "/count", pattern(size), std::to_string(size));
        }
        case 2: {
            const std::size_t size = any_size(random, 300'000);
            return plain("/stream/" + std::to_string(size), pattern(size));
        }
        case 3: return plain("/file", pattern(kFileBytes));
        case 4: return plain("/sleep/" + std::to_string(random.below(20)), "slept");
        case 5: return plain("/wait/" + std::to_string(random.below(20)), "waited");
        case 6: return plain("/blocking", "5050");
    }
}

Question last_question(SmallRandom& random) {
    switch (random.below(10)) {
        case 0: return refused(get("/throws"), "/throws", 500, true);
        case 1: return refused(get("/no-memory"), "/no-memory", 500, true);
        case 2: return refused(get("/breaks-promise"), "/breaks-promise", 500, true);
        case 3: return refused(post("/form", pattern(kFormBytes + 1)), "/form", 413, true);
        case 4: {
            std::string body = pattern(any_size(random, 5000));
            return {.bytes = "GET /stream/" + std::to_string(body.size()) + " HTTP/1.0\r\n\r\n",
                    .path = "1.0 /stream",
                    .body = body,
                    .closes = true};
        }
        case 5: return refused(get("/late"), "/late", 503, true);
        default:
            return {.bytes = get("/hello", "Connection: close\r\n"),
                    .path = "close /hello",
                    .body = "hello",
                    .closes = true};
    }
}

std::string get(std::string_view path, std::string_view fields) {
    return "GET " + std::string(path) + std::string(kHost) + std::string(fields) + "\r\n";
}

std::string post(std::string_view path, std::string_view body, std::string_view fields) {
    return "POST " + std::string(path) + std::string(kHost) + std::string(fields) +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string post_chunked(SmallRandom& random, std::string_view path, std::string_view body) {
    std::string bytes =
        "POST " + std::string(path) + std::string(kHost) + "Transfer-Encoding: chunked\r\n\r\n";
    const int longest = 1 + static_cast<int>(body.size()) / (1 + random.below(6));
    int extensions = 20;
    while (!body.empty()) {
        const auto size =
            std::min(body.size(), static_cast<std::size_t>(1 + random.below(longest)));
        std::array<char, 16> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16).ptr;
        bytes.append(digits.data(), end);
        if (random.below(8) == 0 && extensions-- > 0) {
            bytes.append(";name=\"a value\"");
        }
        bytes.append("\r\n").append(body.substr(0, size)).append("\r\n");
        body.remove_prefix(size);
    }
    bytes.append(random.below(4) == 0 ? "0\r\nX-Sum: 1\r\n\r\n" : "0\r\n\r\n");
    return bytes;
}

void expect_answer(Client& client, const Question& question) {
    const test::HttpReply reply = client.reply(question.to_head);
    const auto sum = reply.trailers.empty() ? std::string() : reply.trailers.front().value;
    if (reply.status != question.status || (question.says_body && reply.body != question.body) ||
        sum != question.sum) {
        throw Wrong(question.path + ": status " + std::to_string(reply.status) + " with " +
                    std::to_string(reply.body.size()) + " bytes, \"" + reply.body.substr(0, 60) +
                    "\", instead of " + std::to_string(question.status) + " with " +
                    std::to_string(question.body.size()));
    }
    if (question.closes != reply.says_close()) {
        throw Wrong(question.path + (question.closes ? ": does not say close" : ": says close"));
    }
}

}  // namespace coir::soak
