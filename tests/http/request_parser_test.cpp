#include "http/request_parser.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coir/base/error.hpp"
#include "event_log.hpp"
#include "wire_cases.hpp"

namespace coir::http {
namespace {

constexpr RequestParser::Limits kLimits{
    .max_header_bytes = 4096,
    .max_header_fields = 16,
    .max_target_bytes = 1024,
    .max_chunk_extension_bytes = 200,
    .trusts_https_targets = false,
};

test::EventLog log_for(const test::WireCase& wire_case) {
    return test::EventLog({.wants_headers = wire_case.wants_headers, .limits = kLimits});
}

class WireCase : public testing::TestWithParam<test::WireCase> {};

TEST_P(WireCase, WholeGivesTheExpectedEvents) {
    test::EventLog log = log_for(GetParam());
    log.feed(GetParam().input);
    log.finish();
    EXPECT_EQ(log.events(), GetParam().events);
}

TEST_P(WireCase, ByteByByteGivesTheSameEvents) {
    test::EventLog log = log_for(GetParam());
    for (const char& byte : GetParam().input) {
        log.feed({&byte, 1});
    }
    log.finish();
    EXPECT_EQ(log.events(), GetParam().events);
}

TEST_P(WireCase, SplitAnywhereGivesTheSameEvents) {
    const std::string_view input = GetParam().input;
    for (std::size_t split = 1; split < input.size(); ++split) {
        test::EventLog log = log_for(GetParam());
        log.feed(input.substr(0, split));
        log.feed(input.substr(split));
        log.finish();
        ASSERT_EQ(log.events(), GetParam().events) << "split at byte " << split;
    }
}

std::string test_name(const testing::TestParamInfo<test::WireCase>& info) {
    return test::test_name(info.param);
}

INSTANTIATE_TEST_SUITE_P(RequestParser, WireCase, testing::ValuesIn(test::load_wire_cases()),
                         test_name);

TEST(RequestParser, TakesAHeadOfExactlyTheLimitAndRefusesOneByteMore) {
    const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    for (const std::size_t over : {0U, 1U}) {
        RequestParser parser(kLimits);
        RequestHead request;
        const std::string bytes =
            head + std::string(kLimits.max_header_bytes - head.size() - 4 + over, 'x') + "\r\n\r\n";
        const auto progress = parser.parse_head(bytes, request);
        ASSERT_EQ(progress.has_value(), over == 0);
        if (over == 1) {
            EXPECT_EQ(progress.error(), make_error_code(Errc::header_too_large));
        }
    }
}

TEST(RequestParser, TakesATargetOfExactlyTheLimitAndRefusesOneByteMore) {
    for (const std::size_t over : {0U, 1U}) {
        RequestParser parser(kLimits);
        RequestHead request;
        const std::string bytes = "GET /" + std::string(kLimits.max_target_bytes - 1 + over, 'x') +
                                  " HTTP/1.1\r\nHost: a\r\n\r\n";
        const auto progress = parser.parse_head(bytes, request);
        ASSERT_EQ(progress.has_value(), over == 0);
        if (over == 1) {
            EXPECT_EQ(progress.error(), make_error_code(Errc::target_too_long));
        }
    }
}

TEST(RequestParser, TakesAsManyFieldsAsTheLimitAndRefusesOneMore) {
    for (const std::size_t over : {0U, 1U}) {
        RequestParser parser(kLimits);
        RequestHead request;
        std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (std::size_t i = 1; i < kLimits.max_header_fields + over; ++i) {
            bytes += "X: y\r\n";
        }
        const auto progress = parser.parse_head(bytes + "\r\n", request);
        ASSERT_EQ(progress.has_value(), over == 0);
        if (over == 1) {
            EXPECT_EQ(progress.error(), make_error_code(Errc::header_too_large));
        } else {
            EXPECT_EQ(request.headers.size(), kLimits.max_header_fields);
        }
    }
}

TEST(RequestParser, EverySingleByteThatIsNoTextIsRefusedInAValue) {
    for (int c = 0; c < 256; ++c) {
        const bool is_text = c == '\t' || (c >= ' ' && c != 0x7f);
        RequestParser parser(kLimits);
        RequestHead request;
        std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nX: [.]\r\n\r\n";
        bytes[bytes.rfind('.')] = static_cast<char>(c);
        EXPECT_EQ(parser.parse_head(bytes, request).has_value(), is_text) << "byte " << c;
    }
}

TEST(RequestParser, EverySingleByteThatIsNoTokenCharacterIsRefusedInAName) {
    for (int c = 0; c < 256; ++c) {
        const bool is_token =
            std::isalnum(c) != 0 || (c != 0 && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
        RequestParser parser(kLimits);
        RequestHead request;
        std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nX@Y: z\r\n\r\n";
        bytes[bytes.find('@')] = static_cast<char>(c);
        // A colon ends the name and belongs to the value.
        EXPECT_EQ(parser.parse_head(bytes, request).has_value(), is_token || c == ':')
            << "byte " << c;
    }
}

TEST(RequestParser, EverySingleByteThatIsNoVisibleCharacterIsRefusedInATarget) {
    for (int c = 0; c < 256; ++c) {
        const bool is_visible = c > ' ' && c < 0x7f && c != '#';
        RequestParser parser(kLimits);
        RequestHead request;
        std::string bytes = "GET /a@b HTTP/1.1\r\nHost: a\r\n\r\n";
        bytes[bytes.find('@')] = static_cast<char>(c);
        EXPECT_EQ(parser.parse_head(bytes, request).has_value(), is_visible) << "byte " << c;
    }
}

TEST(RequestParser, NoPrefixOfAHeadIsComplete) {
    const std::string_view bytes =
        "POST /x?y=z HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nX-Empty:\r\n\r\n";
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        RequestParser parser(kLimits);
        RequestHead request;
        const auto progress = parser.parse_head(bytes.substr(0, size), request);
        ASSERT_TRUE(progress.has_value());
        ASSERT_EQ(*progress, RequestParser::Progress::need_more);
    }
}

TEST(RequestParser, TheBytesMayMoveBetweenTwoCalls) {
    const std::string_view bytes = "GET /x HTTP/1.1\r\nHost: b\r\nCookie: c=d\r\n\r\n";
    RequestParser parser(kLimits);
    RequestHead request;
    std::string first(bytes.substr(0, 30));
    ASSERT_TRUE(parser.parse_head(first, request).has_value());
    first.assign(first.size(), '?');
    ASSERT_EQ(parser.parse_head(bytes, request).value(), RequestParser::Progress::head_complete);
    EXPECT_EQ(request.target, "/x");
    EXPECT_EQ(request.headers.find("cookie"), "c=d");
}

TEST(RequestParser, ACallWithoutANewByteChangesNothing) {
    RequestParser parser(kLimits);
    RequestHead request;
    const std::string bytes = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        // Of their exact size, so that a sanitizer sees a read behind them.
        const auto arrived = std::make_unique<char[]>(size);
        std::memcpy(arrived.get(), bytes.data(), size);
        for (int i = 0; i < 2; ++i) {
            ASSERT_EQ(parser.parse_head({arrived.get(), size}, request).value(),
                      RequestParser::Progress::need_more);
        }
    }
    EXPECT_EQ(parser.parse_head(bytes, request).value(), RequestParser::Progress::head_complete);
}

TEST(RequestParser, TakesHttpsTargetsWhereItMay) {
    for (const bool trusts : {false, true}) {
        RequestParser::Limits limits = kLimits;
        limits.trusts_https_targets = trusts;
        RequestParser parser(limits);
        RequestHead request;
        const auto progress =
            parser.parse_head("GET https://b:8443/x HTTP/1.1\r\nHost: a\r\n\r\n", request);
        ASSERT_EQ(progress.has_value(), trusts);
        if (trusts) {
            EXPECT_EQ(request.authority, "b:8443");
            EXPECT_EQ(request.path, "/x");
        } else {
            EXPECT_EQ(progress.error(), make_error_code(Errc::misdirected_request));
        }
    }
}

TEST(RequestParser, AnEmptyHostIsRefusedAlsoAfterAValidOne) {
    RequestParser parser(kLimits);
    RequestHead request;
    for (const char* const host : {"b", "example.org", "b"}) {
        parser.reset();
        const std::string bytes = std::string("GET / HTTP/1.1\r\nHost: ") + host + "\r\n\r\n";
        ASSERT_TRUE(parser.parse_head(bytes, request).has_value());
        parser.reset();
        EXPECT_EQ(parser.parse_head("GET / HTTP/1.1\r\nHost:\r\n\r\n", request).error(),
                  make_error_code(Errc::malformed_request));
    }
}

TEST(RequestParser, OffersTrailersUntilTheNextMessage) {
    RequestParser parser(kLimits);
    RequestHead request;
    const std::string_view head =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string_view body = "0\r\nX: y\r\n\r\n";
    ASSERT_TRUE(parser.parse_head(head, request).has_value());
    EXPECT_TRUE(parser.trailers().empty());
    ASSERT_TRUE(
        parser.decode_chunks(std::as_bytes(std::span(body)), nullptr, 100).value().complete);
    EXPECT_EQ(parser.trailers().find("x"), "y");
    EXPECT_EQ(request.headers.count("x"), 0U);
    parser.reset();
    EXPECT_TRUE(parser.trailers().empty());
    ASSERT_TRUE(parser.parse_head(head, request).has_value());
    EXPECT_TRUE(parser.trailers().empty());
}

}  // namespace
}  // namespace coir::http
