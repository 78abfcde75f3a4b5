#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "coir/http/request.hpp"
#include "coir/http/response.hpp"
#include "coir/runtime/parker.hpp"
#include "served.hpp"
#include "support/tcp_client.hpp"

// A handler that waits for something else hears that its client has gone.
namespace coir::http {
namespace {

using coir::test::soon;
using coir::test::TcpClient;
using test::Served;

/// A route whose handler waits until its client has gone, and says so.
class Waiting final {
public:
    Router routes() {
        Router router;
        router.get("/wait", [this](Request& request, Response& response) {
            Parker parker;
            const auto token = request.stop_token();
            const std::stop_callback gone(token, [&] { parker.unpark(); });
            waits_ = true;
            heard_ = parker.park(soon()).has_value() && token.stop_requested();
            has_returned_ = true;
            response.body("late");
        });
        router.get("/now", [](Request& request, Response& response) {
            response.body(request.stop_token().stop_requested() ? "gone" : "there");
        });
        return router;
    }
    void await_request() {
        EXPECT_TRUE(coir::test::holds_before(soon(), [&] { return waits_.load(); }));
    }
    void await_return() {
        EXPECT_TRUE(coir::test::holds_before(soon(), [&] { return has_returned_.load(); }));
    }
    [[nodiscard]] bool has_heard() const { return heard_; }

private:
    std::atomic<bool> waits_{false};
    std::atomic<bool> heard_{false};
    std::atomic<bool> has_returned_{false};
};

const std::string kAsk = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

class ClientGone : public testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Workers, ClientGone, testing::Values(1, 3));

TEST_P(ClientGone, TriggersTheTokenOfAHandlerThatWaits) {
    Waiting waiting;
    Served served(waiting.routes(), {}, GetParam());
    std::optional<TcpClient> client(std::in_place, served.port());
    client->send(kAsk);
    waiting.await_request();
    client.reset();
    waiting.await_return();
    EXPECT_TRUE(waiting.has_heard());
}

TEST_P(ClientGone, AClientThatHasOnlyFinishedSendingIsStillAnswered) {
    Waiting waiting;
    Served served(waiting.routes(), {}, GetParam());
    TcpClient client(served.port());
    client.send(kAsk);
    waiting.await_request();
    client.finish_sending();
    EXPECT_EQ(client.receive().body, "late");
    EXPECT_TRUE(waiting.has_heard());
}

TEST_P(ClientGone, IsKnownAtOnceWhereItHasHappenedBefore) {
    Waiting waiting;
    Served served(waiting.routes(), {}, GetParam());
    TcpClient client(served.port());
    // The end comes with the first request, and is heard before the second is looked at.
    client.send(kAsk + "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish_sending();
    EXPECT_EQ(client.receive().body, "late");
    EXPECT_EQ(client.receive().body, "gone");
}

TEST_P(ClientGone, IsNotSaidOfAClientThatIsThere) {
    Waiting waiting;
    Served served(waiting.routes(), {}, GetParam());
    TcpClient client(served.port());
    for (int round = 0; round != 3; ++round) {
        client.send("GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_EQ(client.receive().body, "there");
    }
}

TEST_P(ClientGone, IsSaidWhenAStopCutsTheConnection) {
    Waiting waiting;
    Served served(waiting.routes(), {}, GetParam());
    TcpClient client(served.port());
    client.send(kAsk);
    waiting.await_request();
    served.server().stop(Deadline::after(std::chrono::milliseconds(10)));
    waiting.await_return();
    EXPECT_TRUE(waiting.has_heard());
}

}  // namespace
}  // namespace coir::http
