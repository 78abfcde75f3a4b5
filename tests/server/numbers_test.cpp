// What /baseline11 adds up, and what it refuses.

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "server/arena_requests.hpp"
#include "server/expect_answer.hpp"
#include "support/server_process.hpp"
#include "support/tcp_client.hpp"

namespace coir::test {
namespace {

class Baseline : public testing::Test {
protected:
    void expect_get(const std::string& query, int status, const std::string& body) {
        SCOPED_TRACE(query);
        client_.send(request_for("/baseline11?" + query));
        expect_text(client_.receive(), status, body);
    }
    void expect_post(const std::string& body, int status, const std::string& text) {
        SCOPED_TRACE(body);
        client_.send(post_of(body, "/baseline11?a=1"));
        expect_text(client_.receive(), status, text);
    }

    RunningServer server_;
    TcpClient client_{server_.port()};
};

TEST_F(Baseline, AddsEveryValueWhateverItsName) {
    expect_get("a=13&b=42", 200, "55");
    expect_get("a=1&a=2&zz=3&=4", 200, "10");
    expect_get("&a=1&&b=2&", 200, "3");
    expect_get("a=0012", 200, "12");
    expect_get("", 200, "0");
}

TEST_F(Baseline, KnowsNegativeNumbersAndTheEndsOf64Bits) {
    expect_get("a=-5&b=2", 200, "-3");
    expect_get("a=9223372036854775807", 200, "9223372036854775807");
    expect_get("a=-9223372036854775808", 200, "-9223372036854775808");
    expect_get("a=9223372036854775807&b=-9223372036854775808", 200, "-1");
}

TEST_F(Baseline, DecodesAValueThatIsPercentEncoded) {
    expect_get("a=%31%33&b=42", 200, "55");
    expect_get("a=%2d7", 200, "-7");
}

TEST_F(Baseline, NamesTheValueThatIsNoInteger) {
    expect_get("a=1&b=12x&c=y", 400, "not a 64-bit integer: b=12x");
    expect_get("a", 400, "not a 64-bit integer: a");
    expect_get("a=", 400, "not a 64-bit integer: a");
    expect_get("a=1.5", 400, "not a 64-bit integer: a=1.5");
    expect_get("a=+1", 400, "not a 64-bit integer: a=+1");
    expect_get("a=0x10", 400, "not a 64-bit integer: a=0x10");
    expect_get("a=1=2", 400, "not a 64-bit integer: a=1=2");
    expect_get("a=%zz", 400, "not a 64-bit integer: a=%zz");
    expect_get("a=%311%", 400, "not a 64-bit integer: a=%311%");
    expect_get("a=9223372036854775808", 400, "not a 64-bit integer: a=9223372036854775808");
    expect_alive(client_);
}

TEST_F(Baseline, NamesTheValueThatOverflowsTheSum) {
    expect_get("a=9223372036854775807&b=1", 400, "the sum overflows 64 bits: b=1");
    expect_get("a=-9223372036854775808&b=-1", 400, "the sum overflows 64 bits: b=-1");
}

TEST_F(Baseline, ShowsOnlyTheBeginningOfALongValue) {
    expect_get("a=" + std::string(1000, '9'), 400,
               "not a 64-bit integer: a=" + std::string(62, '9') + "...");
}

TEST_F(Baseline, AddsTheBodyWithBlanksAndLineEndsAroundIt) {
    expect_post("20", 200, "21");
    expect_post("-20", 200, "-19");
    expect_post(" \t20\r\n", 200, "21");
    expect_post(std::string(10'000, ' ') + "20", 200, "21");
}

TEST_F(Baseline, RefusesABodyThatIsNoInteger) {
    expect_post("", 400, "not a 64-bit integer: an empty body");
    expect_post("\n", 400, "not a 64-bit integer: \\x0a");
    expect_post("2 0", 400, "not a 64-bit integer: 2 0");
    expect_post(std::string("1\0", 2), 400, "not a 64-bit integer: 1\\x00");
    expect_post("\x1b[31m\xff", 400, "not a 64-bit integer: \\x1b[31m\\xff");
    expect_post("9223372036854775807", 400, "the sum overflows 64 bits: 9223372036854775807");
    expect_alive(client_);
}

TEST_F(Baseline, RefusesAQueryWithoutWaitingForTheBody) {
    client_.send("POST /baseline11?a=x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    expect_text(client_.receive(), 400, "not a 64-bit integer: a=x");
}

TEST_F(Baseline, SumsAChunkedBodyOfManyChunks) {
    std::string request =
        "POST /baseline11?a=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i != 1000; ++i) {
        request += "1\r\n0\r\n";
    }
    request += "2\r\n20\r\n0\r\n\r\n";
    client_.send(request);
    expect_text(client_.receive(), 200, "21");
    expect_alive(client_);
}

}  // namespace
}  // namespace coir::test
