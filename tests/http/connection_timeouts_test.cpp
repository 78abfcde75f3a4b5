#include "http/connection.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "coir/net/tcp_stream.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::HttpReply;
using coir::test::soon;
using coir::test::TcpClient;
using std::chrono::milliseconds;
using test::get;
using test::kGet;
using test::pattern;
using test::post;
using test::sample_router;
using test::Served;

/// Of a Date field, since the epoch; 0 if it is none.
std::time_t seconds_of(const std::string& date) {
    std::tm time{};
    const char* const end = ::strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
    return end != nullptr && *end == '\0' ? ::timegm(&time) : 0;
}

// A client that is used and then left alone. False if the machine was too busy to use it in time.
bool is_closed_when_idle(milliseconds timeout) {
    ServerOptions options;
    options.idle_timeout = timeout;
    Served served(sample_router(), options);
    TcpClient client(served.port());
    try {
        client.send(get("/1"));
        EXPECT_EQ(client.receive().body, "/1");
    } catch (const std::exception&) {
        return false;
    }
    client.expect_end();
    EXPECT_EQ(served.stats().requests, 1U);
    EXPECT_EQ(served.stats().timeouts, 0U);
    return true;
}

TEST(Connection, AnIdleConnectionIsClosedWithoutAWord) {
    EXPECT_TRUE(is_closed_when_idle(milliseconds(100)) || is_closed_when_idle(milliseconds(800)) ||
                is_closed_when_idle(milliseconds(6400)));
}

// It had the time of an idle connection, which is much longer.
TEST(Connection, ANewOneHasTheTimeOfAHeadForItsFirstByte) {
    ServerOptions options;
    options.header_timeout = milliseconds(50);
    Served served(sample_router(), options);
    TcpClient fresh(served.port());
    fresh.expect_end();
    EXPECT_EQ(served.stats().timeouts, 0U);
    // Later ones are not meant.
    options.header_timeout = milliseconds(1000);
    Served patient(sample_router(), options);
    TcpClient used(patient.port());
    for (int i = 0; i < 2; ++i) {
        used.send(get("/1"));
        EXPECT_EQ(used.receive().body, "/1");
        std::this_thread::sleep_for(milliseconds(1200));
    }
    used.send(get("/1"));
    EXPECT_EQ(used.receive().body, "/1");
}

// Each urgent byte woke the connection, which then began to wait anew.
TEST(Connection, UrgentDataIsNotARequestAndBuysNoTime) {
    ServerOptions options;
    options.header_timeout = milliseconds(300);
    Served served(sample_router(), options);
    TcpClient client(served.port());
    std::atomic<bool> done = false;
    std::thread sender([&] {
        while (!done && client.try_send_urgent('!')) {
            std::this_thread::sleep_for(milliseconds(20));
        }
    });
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 1; }) ||
                holds_before(soon(), [&] { return served.stats().open == 0; }));
    done = true;
    sender.join();
    EXPECT_EQ(served.stats().requests, 0U);
    EXPECT_EQ(served.stats().bad_requests, 0U);
    EXPECT_EQ(served.stats().timeouts, 0U);  // a new one that says nothing is idle
}

// It was closed, and the kernel answered a request that crossed with a reset.
TEST(Connection, AnIdleOneThatIsClosedResetsNoRequestThatComesInThatMoment) {
    ServerOptions options;
    options.idle_timeout = milliseconds(100);
    options.linger_timeout = std::chrono::seconds(1000);
    Served served(sample_router(), options);
    TcpClient client(served.port());
    client.send(get("/1"));
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().lingering == 1; }));
    client.send(get("/2"));
    client.wait_until_read();
    client.send(get("/3"));
    EXPECT_EQ(client.receive().body, "/1");
    EXPECT_EQ(client.receive_rest(), "");
    client.close();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
}

// Sends a byte now and then as long as it lives, and the server takes it.
class Dripper final {
public:
    explicit Dripper(TcpClient& client)
        : thread_([&client](const std::stop_token& stop) {
              while (!stop.stop_requested() && client.try_send("x")) {
                  std::this_thread::sleep_for(milliseconds(20));
              }
          }) {}

private:
    std::jthread thread_;
};

// To be renewed by each byte, or to be the default, would be too late for this.
constexpr std::chrono::seconds kFarTooLate{9};

TEST(Connection, AHeadThatDripsIsCutByOneDeadline) {
    ServerOptions options;
    ASSERT_GT(options.header_timeout, kFarTooLate);
    options.header_timeout = milliseconds(200);
    Served served(sample_router(), options);
    TcpClient client(served.port());
    const auto begun = std::chrono::steady_clock::now();
    client.send("GET / HTTP/1.1\r\nX: ");
    const Dripper dripper(client);
    EXPECT_EQ(client.receive().status, 408);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, kFarTooLate);
    EXPECT_EQ(served.stats().timeouts, 1U);
}

TEST(Connection, EachHeadHasItsOwnDeadline) {
    ServerOptions options;
    options.header_timeout = milliseconds(2000);
    Served served(sample_router(), options);
    TcpClient client(served.port());
    constexpr int kHeads = 45;
    for (int i = 0; i < kHeads; ++i) {
        // The rest of one head and the beginning of the next come together, all the time. Each has
        // 40 times what it needs, and all together need more than one has.
        client.send(i == 0 ? "GET /1 HTTP/1.1\r\n" : "Host: a\r\n\r\nGET /1 HTTP/1.1\r\n");
        std::this_thread::sleep_for(milliseconds(50));
    }
    for (int i = 1; i < kHeads; ++i) {
        EXPECT_EQ(client.receive().status, 200);
    }
}

TEST(Connection, ABodyThatDoesNotComeIsA408) {
    ServerOptions options;
    options.body_timeout = milliseconds(50);
    Served served(sample_router(), options);
    TcpClient client(served.port());
    client.send("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\nabc");
    const HttpReply reply = client.receive();
    EXPECT_EQ(reply.status, 408);
    EXPECT_TRUE(reply.says_close());
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().timeouts == 1; }));
}

// The budget ran in the handler's own time too, so a punctual client paid for a slow handler.
TEST(Connection, ASlowHandlerDoesNotUseUpTheTimeOfTheBody) {
    ServerOptions options;
    options.body_timeout = milliseconds(2000);
    std::atomic<bool> is_waiting = false;
    std::atomic<bool> will_wait = false;
    Router routes;
    routes.post("/", [&](Request& request, Response& response) {
        std::array<std::byte, 1> first;
        is_waiting = true;
        EXPECT_EQ(request.body().read_some(first, Deadline::never()).value(), 1U);
        this_fiber::sleep_for(milliseconds(2300));
        will_wait = true;
        if (const auto rest = request.body().read_all(Deadline::never())) {
            response.body(*rest);
        }
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    EXPECT_TRUE(holds_before(soon(), [&] { return is_waiting.load(); }));
    client.send("a");
    EXPECT_TRUE(holds_before(soon(), [&] { return will_wait.load(); }));
    std::this_thread::sleep_for(milliseconds(50));  // bytes that are there are read in any case
    client.send("bc");
    EXPECT_EQ(client.receive().body, "bc");
}

TEST(Connection, ABodyThatDripsIsCutByOneDeadline) {
    ServerOptions options;
    options.body_timeout = milliseconds(200);
    Served served(sample_router(), options);
    TcpClient client(served.port());
    client.send("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    const Dripper dripper(client);
    EXPECT_EQ(client.receive().status, 408);
}

// The date was looked up when bytes came and after a handler, not after the other waits.
TEST(Connection, TheDateIsThatOfTheReply) {
    constexpr milliseconds kPause{1100};  // the date is another one, whatever it was
    ServerOptions options;
    options.header_timeout = kPause;
    Router routes;
    routes.get("/body", [&](Request&, Response& response) {
        this_fiber::sleep_for(kPause);
        response.body("late");
    });
    routes.get("/stream", [&](Request&, Response& response) {
        this_fiber::sleep_for(kPause);
        EXPECT_TRUE(response.write("late", Deadline::never()));
    });
    routes.get("/throw", [&](Request&, Response&) {
        this_fiber::sleep_for(kPause);
        throw std::runtime_error("late");
    });
    Served served(std::move(routes), options);
    std::vector<std::unique_ptr<TcpClient>> clients;
    const std::time_t before = std::time(nullptr);
    for (const std::string& request :
         {get("/body"), get("/stream"), get("/throw"), get("/x").substr(0, 9)}) {
        clients.push_back(std::make_unique<TcpClient>(served.port()));
        clients.back()->send(request);
    }
    for (const auto& client : clients) {
        const HttpReply reply = client->receive();
        EXPECT_GT(seconds_of(reply.field("Date").value_or("")), before) << reply.status;
    }
}

// The longest timeout overflowed when it became nanoseconds, and ended at once.
TEST(Connection, TheLongestTimeoutIsNever) {
    ServerOptions options;
    options.idle_timeout = milliseconds::max();
    options.header_timeout = milliseconds::max();
    options.body_timeout = milliseconds::max();
    options.write_timeout = milliseconds::max();
    options.linger_timeout = milliseconds::max();
    static const std::string large = pattern(4'000'000);
    Router routes = sample_router();
    routes.get("/large", [](Request&, Response& response) {
        response.body_static(large).close_connection();
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    // Every wait has to last until the next piece comes.
    for (const char* piece : {"GET /1 HT", "TP/1.1\r\nHost: a\r\n\r\n"}) {
        std::this_thread::sleep_for(milliseconds(50));
        client.send(piece);
    }
    EXPECT_EQ(client.receive().body, "/1");
    const std::string upload = post("/whole", "20");
    client.send(upload.substr(0, upload.size() - 2));
    client.wait_until_read();
    for (const char* piece : {"2", "0"}) {
        std::this_thread::sleep_for(milliseconds(50));
        client.send(piece);
    }
    EXPECT_EQ(client.receive().body, "20");
    client.send(get("/large"));
    EXPECT_EQ(client.receive().body, large);
    client.expect_end();
}

TEST(Connection, AClientThatDoesNotReadIsWaitedForAndThenCut) {
    ServerOptions options;
    options.write_timeout = milliseconds(100);
    options.slowest_bytes_per_second = 1'000'000'000;
    Router routes;
    const std::string body = pattern(10'000);
    routes.get("/", [&body](Request&, Response& response) { response.body(body); });
    Served served(std::move(routes), options);
    TcpClient client(served.port(), 4096);
    std::string burst;
    for (int i = 0; i < 2000; ++i) {
        burst += kGet;
    }
    client.send(burst);
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().timeouts == 1; }));
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    EXPECT_LT(served.stats().requests, 2000U);
}

// Takes what the server sends, so much at a time with a pause between; how much it was until the end.
std::size_t take_slowly(std::uint16_t port, std::size_t bytes, milliseconds pause) {
    auto stream = net::TcpStream::connect(net::SocketAddress::loopback(port), soon()).value();
    EXPECT_TRUE(stream.write_all(std::as_bytes(std::span(kGet)), soon()).has_value());
    std::vector<std::byte> piece(bytes);
    for (std::size_t total = 0;;) {
        std::size_t taken = 0;
        const auto read = stream.read_exact(piece, taken, soon());
        total += taken;
        if (!read) {
            return total;
        }
        std::this_thread::sleep_for(pause);
    }
}

// Each flush of a stream had the whole timeout.
TEST(Connection, AStreamThatIsTakenTooSlowlyIsCut) {
    ServerOptions options;
    options.write_timeout = milliseconds(500);
    options.slowest_bytes_per_second = 1'000'000'000;
    const std::string piece = pattern(100'000);
    constexpr int kPieces = 1000;
    std::atomic<bool> has_timed_out = false;
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        std::error_code error;
        for (int i = 0; i < kPieces && !error; ++i) {
            error = response.write(piece, Deadline::never()).error();
        }
        has_timed_out = error == std::errc::timed_out;
    });
    Served served(std::move(routes), options);
    const std::size_t taken = take_slowly(served.port(), 200'000, milliseconds(100));
    EXPECT_LT(taken, kPieces * piece.size());
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    EXPECT_TRUE(has_timed_out);
    EXPECT_EQ(served.stats().timeouts, 1U);
}

TEST(Connection, AClientThatTakesEnoughIsNotCut) {
    ServerOptions options;
    options.write_timeout = milliseconds(2000);
    options.slowest_bytes_per_second = 100'000;
    static const std::string body = pattern(16'000'000);
    Router routes;
    routes.get(
        "/", [&](Request&, Response& response) { response.body_static(body).close_connection(); });
    Served served(std::move(routes), options);
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_GT(take_slowly(served.port(), 200'000, milliseconds(50)), body.size());
    EXPECT_GT(std::chrono::steady_clock::now() - begun, options.write_timeout);
    EXPECT_EQ(served.stats().timeouts, 0U);
}

TEST(Connection, AStreamThatIsMadeSlowlyIsNotTheClientsFault) {
    ServerOptions options;
    options.write_timeout = milliseconds(1000);
    const std::string piece = pattern(1'000'000);
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        for (int i = 0; i < 4; ++i) {
            this_fiber::sleep_for(milliseconds(400));
            EXPECT_TRUE(response.write(piece, Deadline::never()));
        }
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    client.send(kGet);
    EXPECT_EQ(client.receive().body.size(), 4 * piece.size());
    EXPECT_EQ(served.stats().timeouts, 0U);
}

// What a handler's own deadline had cut off was lost, and the connection with it.
TEST(Connection, EarlierRepliesThatAHandlerDoesNotWaitForAreSentLater) {
    ServerOptions options;
    options.max_output_bytes = 100'000'000;
    const std::string large = pattern(100'000);
    std::atomic<bool> has_given_up = false;
    Router routes;
    routes.get("/", [&](Request&, Response& response) {
        EXPECT_TRUE(response.header("X", large).has_value());
    });
    routes.get("/late", [&](Request&, Response& response) {
        const auto sent = response.send_earlier_replies(Deadline::after(milliseconds(20)));
        EXPECT_EQ(sent.error(), std::errc::timed_out);
        has_given_up = true;
        EXPECT_TRUE(response.send_earlier_replies(Deadline::never()).has_value());
        response.body("late");
    });
    Served served(std::move(routes), options);
    TcpClient client(served.port());
    constexpr int kBefore = 200;  // more than the kernel keeps for one that does not read
    std::string burst;
    for (int i = 0; i < kBefore; ++i) {
        burst += kGet;
    }
    client.send(burst + get("/late"));
    EXPECT_TRUE(holds_before(soon(), [&] { return has_given_up.load(); }));
    for (int i = 0; i < kBefore; ++i) {
        ASSERT_EQ(client.receive().field("X"), large) << i;
    }
    EXPECT_EQ(client.receive().body, "late");
    EXPECT_EQ(served.stats().timeouts, 0U);
}

}  // namespace
}  // namespace coir::http
