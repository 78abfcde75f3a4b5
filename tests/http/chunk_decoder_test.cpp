#include "http/chunk_decoder.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coir/base/error.hpp"

/// What the wire cases do not show: memory, trailers, and limits to the byte.
namespace coir::http {
namespace {

constexpr ChunkDecoder::Limits kLimits{
    .max_extension_bytes = 100, .max_trailer_bytes = 200, .max_trailer_fields = 8};

Result<ChunkDecoder::Decoded> decode(ChunkDecoder& decoder, std::string_view bytes) {
    return decoder.decode(std::as_bytes(std::span(bytes)), nullptr);
}

std::vector<std::string> lines(Headers headers) {
    std::vector<std::string> found;
    for (const Header header : headers) {
        found.push_back(std::string(header.name) + ": " + std::string(header.value));
    }
    return found;
}

TEST(ChunkDecoder, RefusesTheChunkThatGoesBeyondTheBodysLimit) {
    ChunkDecoder decoder(kLimits);
    decoder.begin();
    decoder.limit(5);
    EXPECT_TRUE(decode(decoder, "2\r\nab\r\n3\r\ncde\r\n").has_value());
    EXPECT_TRUE(decode(decoder, "1\r").has_value());
    EXPECT_EQ(decode(decoder, "\n").error(), make_error_code(Errc::body_too_large));
    decoder.begin();
    decoder.limit(0);
    EXPECT_TRUE(decode(decoder, "0\r\n\r\n").value().complete);
    // A sum over 64 bits.
    decoder.begin();
    EXPECT_TRUE(decode(decoder, "1\r\na\r\n").has_value());
    EXPECT_EQ(decode(decoder, "ffffffffffffffff\r\n").error(),
              make_error_code(Errc::body_too_large));
}

TEST(ChunkDecoder, DecodesInPlaceAndStopsBehindTheBody) {
    std::string bytes = "3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nGET /";
    ChunkDecoder decoder(kLimits);
    decoder.begin();
    auto* const at = reinterpret_cast<std::byte*>(bytes.data());
    const auto decoded = decoder.decode({at, bytes.size()}, at).value();
    EXPECT_TRUE(decoded.complete);
    EXPECT_EQ(decoded.consumed, bytes.size() - 5);
    EXPECT_EQ(bytes.substr(0, decoded.written), "abcde");
}

TEST(ChunkDecoder, TakesASizeOf64BitsAndNoDigitMore) {
    for (const bool over : {false, true}) {
        ChunkDecoder decoder(kLimits);
        decoder.begin();
        const auto decoded = decode(decoder, over ? "0ffffffffffffffff" : "ffffffffffffffff\r\nab");
        ASSERT_EQ(decoded.has_value(), !over);
        if (over) {
            EXPECT_EQ(decoded.error(), make_error_code(Errc::malformed_chunk));
        } else {
            EXPECT_EQ(decoded->written, 2U);
            EXPECT_FALSE(decoded->complete);
        }
    }
}

TEST(ChunkDecoder, CountsTheExtensionsOfAllChunksOfABody) {
    const std::string chunk = "1;" + std::string(49, 'x') + "\r\na\r\n";  // 50 bytes of extension
    ChunkDecoder decoder(kLimits);
    for (int body = 0; body < 2; ++body) {
        decoder.begin();
        EXPECT_TRUE(decode(decoder, chunk).has_value());
        EXPECT_TRUE(decode(decoder, chunk).has_value());
        EXPECT_EQ(decode(decoder, "1;").error(), make_error_code(Errc::body_too_large));
    }
}

TEST(ChunkDecoder, OneByteChunksAreNoAttack) {
    ChunkDecoder decoder(kLimits);
    decoder.begin();
    for (int i = 0; i < 100'000; ++i) {
        ASSERT_TRUE(decode(decoder, "1\r\na\r\n").has_value());
    }
}

TEST(ChunkDecoder, OffersTrailersOnceTheyAreComplete) {
    ChunkDecoder decoder(kLimits);
    decoder.begin();
    std::string bytes = "0\r\nDigest:\tabc \r\nX-Empty:\r\nX-Inner: a \t b\r\n\r";
    ASSERT_FALSE(decode(decoder, bytes).value().complete);
    EXPECT_TRUE(decoder.trailers().empty());
    ASSERT_TRUE(decode(decoder, "\n").value().complete);
    bytes.assign(bytes.size(), '?');  // they live longer than what they came in
    EXPECT_EQ(lines(decoder.trailers()),
              (std::vector<std::string>{"Digest: abc", "X-Empty: ", "X-Inner: a \t b"}));
    decoder.begin();
    EXPECT_TRUE(decoder.trailers().empty());
}

TEST(ChunkDecoder, DropsTrailersThatComeTooLateToMeanAnything) {
    ChunkDecoder decoder(kLimits);
    decoder.begin();
    const std::string_view bytes =
        "0\r\nA: 1\r\nauthorization: x\r\nCOOKIE: y\r\nB: 2\r\nContent-Type: z\r\nC: 3\r\n\r\n";
    ASSERT_TRUE(decode(decoder, bytes).value().complete);
    EXPECT_EQ(lines(decoder.trailers()), (std::vector<std::string>{"A: 1", "B: 2", "C: 3"}));
}

TEST(ChunkDecoder, TakesTrailersOfExactlyTheLimitAndRefusesOneByteMore) {
    for (const std::size_t over : {0U, 1U}) {
        ChunkDecoder decoder(kLimits);
        decoder.begin();
        // "X: ", CR LF, and the empty line.
        const std::string value(kLimits.max_trailer_bytes - 7 + over, 'x');
        const auto decoded = decode(decoder, "0\r\nX: " + value + "\r\n\r\n");
        ASSERT_EQ(decoded.has_value(), over == 0);
        if (over == 1) {
            EXPECT_EQ(decoded.error(), make_error_code(Errc::header_too_large));
        } else {
            EXPECT_EQ(decoder.trailers().find("X"), value);
        }
    }
}

TEST(ChunkDecoder, TakesAsManyTrailersAsTheLimitAndRefusesOneMore) {
    for (const std::size_t over : {0U, 1U}) {
        ChunkDecoder decoder(kLimits);
        decoder.begin();
        std::string bytes = "0\r\n";
        for (std::size_t i = 0; i < kLimits.max_trailer_fields + over; ++i) {
            bytes += "X: y\r\n";
        }
        const auto decoded = decode(decoder, bytes + "\r\n");
        ASSERT_EQ(decoded.has_value(), over == 0);
        if (over == 1) {
            EXPECT_EQ(decoded.error(), make_error_code(Errc::header_too_large));
        } else {
            EXPECT_EQ(decoder.trailers().size(), kLimits.max_trailer_fields);
        }
    }
}

TEST(ChunkDecoder, TrailersHaveTheLettersOfFields) {
    for (int c = 0; c < 256; ++c) {
        const bool is_text = c == '\t' || (c >= ' ' && c != 0x7f);
        std::string bytes = "0\r\nX: [.]\r\n\r\n";
        bytes[bytes.find('.')] = static_cast<char>(c);
        ChunkDecoder decoder(kLimits);
        decoder.begin();
        EXPECT_EQ(decode(decoder, bytes).has_value(), is_text) << "byte " << c;
    }
}

}  // namespace
}  // namespace coir::http
