#include "http/plain_head.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "door_comparison.hpp"
#include "wire_cases.hpp"

namespace coir::http {
namespace {

using namespace std::string_view_literals;

constexpr RequestParser::Limits kLimits{
    .max_header_bytes = 4096,
    .max_header_fields = 16,
    .max_target_bytes = 1024,
    .max_chunk_extension_bytes = 200,
};

/// What browsers, wrk and curl send.
const std::vector<std::string> kPlain = {
    "GET /pipeline HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    "GET / HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n",
    "GET /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\n"
    "Accept: */*\r\n\r\n",
    "POST /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n20",
    "PUT /a HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
    "\r\n2\r\nab\r\n0\r\n\r\n",
    "OPTIONS /%7e? HTTP/1.1\r\nconnection: close, x\r\nhost: example.org\r\n\r\n",
    "DELETE /a/b HTTP/1.1\r\nHost: a\r\nCONNECTION: Keep-Alive\r\n\r\nGET ",
    "GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n"
    "Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/128.0\r\n"
    "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef; theme=dark\r\nIf-Modified-Since: Sun, 06 Nov 1994\r\n\r\n",
};

/// Where the scans look at a class, and what is of it one by one.
template <typename Class>
void expect_scans_to_see(Class of_class, bool (*is_of_class)(unsigned char)) {
    for (std::size_t size = 16; size < 40; ++size) {
        const auto block = std::make_unique<char[]>(size);
        const char* const end = block.get() + size;
        for (std::size_t from = 0; from <= size; from += 3) {
            for (std::size_t at = from; at < size; ++at) {
                std::fill_n(block.get(), size, '\xff');  // before `from`, nothing matters
                std::fill_n(block.get() + from, size - from, 'a');
                for (int byte = 0; byte < 256; ++byte) {
                    block[at] = static_cast<char>(byte);
                    const char* const expected =
                        is_of_class(static_cast<unsigned char>(byte)) ? end : block.get() + at;
                    ASSERT_EQ(
                        byte_scan::find_end<byte_scan::Words>(of_class, block.get() + from, end),
                        expected)
                        << "byte " << byte << " at " << at << " from " << from << " of " << size;
                    ASSERT_EQ(
                        byte_scan::find_end<byte_scan::Best>(of_class, block.get() + from, end),
                        expected)
                        << "byte " << byte << " at " << at << " from " << from << " of " << size;
                }
            }
        }
    }
}

TEST(ByteScan, FindsEveryByteThatIsNotOfTheClassAtEveryPlace) {
    expect_scans_to_see(byte_scan::NameChars(), [](unsigned char c) {
        return c < 0x80 && (std::isalnum(c) != 0 || c == '-');
    });
    expect_scans_to_see(byte_scan::PathChars(), [](unsigned char c) {
        return c > 0x20 && c < 0x7f && c != '?' && c != '#';
    });
    expect_scans_to_see(byte_scan::QueryChars(),
                        [](unsigned char c) { return c > 0x20 && c < 0x7f && c != '#'; });
    expect_scans_to_see(byte_scan::TextChars(),
                        [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
}

TEST(PlainHead, IsWhatNearlyEverybodySends) {
    for (const std::string& bytes : kPlain) {
        EXPECT_EQ(test::plain_bytes(bytes, kLimits), bytes.find("\r\n\r\n") + 4) << bytes;
        EXPECT_EQ(test::difference_of_doors(bytes, kLimits), "");
    }
}

TEST(PlainHead, NoPrefixOfItIsPlain) {
    for (const std::string& bytes : kPlain) {
        const std::size_t size = bytes.find("\r\n\r\n") + 4;
        for (std::size_t part = 0; part < size; ++part) {
            ASSERT_EQ(test::difference_of_doors(std::string_view(bytes).substr(0, part), kLimits),
                      "");
            ASSERT_EQ(test::plain_bytes(std::string_view(bytes).substr(0, part), kLimits), 0U);
        }
    }
}

TEST(PlainHead, WhateverIsOddIsLeftToLlhttp) {
    const std::string name(17, 'n');
    for (const std::string_view bytes : {
             "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
             "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
             "GET / HTTP/1.1\nHost: a\r\n\r\n",
             "GET / HTTP/1.1\r\n\r\n         ",
             "get / HTTP/1.1\r\nHost: a\r\n\r\n",
             "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
             "GETGETGETGET / HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
             "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /?a#b HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET / HTTP/1.1\r\nHost:a\r\n\r\n",
             "GET / HTTP/1.1\r\nHost:  a\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a \r\n\r\n",
             "GET / HTTP/1.1\r\nHost:\ta\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\n x: y\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX_Y: z\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: y\tz\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: y\xe4\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\r\n",
         }) {
        EXPECT_EQ(test::plain_bytes(bytes, kLimits), 0U) << bytes;
        EXPECT_EQ(test::difference_of_doors(bytes, kLimits), "") << bytes;
    }
}

TEST(PlainHead, KeepsTheLimits) {
    const std::string head = "GET /ab?c HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    RequestParser::Limits limits = kLimits;
    const auto expect_taken = [&](bool taken) {
        EXPECT_EQ(test::plain_bytes(head, limits), taken ? head.size() : 0);
        EXPECT_EQ(test::difference_of_doors(head, limits), "");
    };
    for (const std::size_t less : {0U, 1U}) {
        limits = kLimits;
        limits.max_header_bytes = head.size() - less;
        expect_taken(less == 0);
        limits = kLimits;
        limits.max_header_fields = 2 - less;
        expect_taken(less == 0);
        limits = kLimits;
        limits.max_target_bytes = std::string_view("/ab?c").size() - less;
        expect_taken(less == 0);
    }
}

/// One to three changes of the sort that attackers and mistakes make.
std::string mutated(std::string bytes, const std::vector<std::string>& all, std::mt19937& random) {
    constexpr std::string_view kTelling = "\r\n\t :,;/?#@-_\0\x7f\x80\xff aAzZ0159[]%*\""sv;
    const auto below = [&random](std::size_t limit) { return random() % (limit + 1); };
    for (std::size_t changes = 1 + below(2); changes != 0; --changes) {
        const std::size_t at = below(bytes.size());
        switch (random() % 6) {
            case 0: bytes.insert(at, 1, kTelling[random() % kTelling.size()]); break;
            case 1:
                if (at < bytes.size()) {
                    bytes[at] = kTelling[random() % kTelling.size()];
                }
                break;
            case 2: bytes.erase(at, 1 + random() % 3); break;
            case 3: bytes.insert(at, bytes.substr(below(bytes.size()), 1 + random() % 30)); break;
            case 4: {  // a line of another one
                const std::string& other = all[random() % all.size()];
                const std::size_t line = other.find("\r\n", below(other.size()));
                const std::size_t place = bytes.find("\r\n", at);
                if (line != std::string::npos && place != std::string::npos) {
                    bytes.insert(place, other.substr(line, other.find("\r\n", line + 2) - line));
                }
                break;
            }
            default: bytes.resize(at); break;
        }
    }
    return bytes;
}

TEST(PlainHead, IsWhatLlhttpAndItsChecksMakeOfIt) {
    std::vector<std::string> all = kPlain;
    for (const test::WireCase& wire_case : test::load_wire_cases()) {
        all.push_back(wire_case.input);
    }
    std::mt19937 random(20'261'128);
    std::size_t plain = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(test::difference_of_doors(all[i], kLimits), "") << all[i];
        const int mutations = i < kPlain.size() ? 2000 : 50;
        for (int n = 0; n < mutations; ++n) {
            const std::string bytes = mutated(all[i], all, random);
            plain += test::plain_bytes(bytes, kLimits) != 0 ? 1U : 0U;
            ASSERT_EQ(test::difference_of_doors(bytes, kLimits), "") << bytes;
        }
    }
    EXPECT_GE(plain, 3000U);  // or the comparison says nothing
}

TEST(PlainHead, TheRequestsBehindItAreTheSameToo) {
    test::EventLog::Options options{.wants_headers = true, .limits = kLimits};
    for (const test::WireCase& wire_case : test::load_wire_cases()) {
        options.limits.leaves_all_to_llhttp = false;
        test::EventLog with(options);
        options.limits.leaves_all_to_llhttp = true;
        test::EventLog without(options);
        for (test::EventLog* const log : {&with, &without}) {
            log->feed(kPlain.front());
            log->feed(wire_case.input);
            log->finish();
        }
        ASSERT_EQ(with.events(), without.events()) << wire_case.name;
    }
}

}  // namespace
}  // namespace coir::http
