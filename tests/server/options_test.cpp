#include "options.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace coir::server {
namespace {

using Variables = std::map<std::string, std::string>;

Options parse(const std::vector<const char*>& arguments, const Variables& variables = {}) {
    return parse_options(arguments, [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    });
}

std::string why_not(const std::vector<const char*>& arguments, const Variables& variables = {}) {
    try {
        (void)parse(arguments, variables);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "";
}

TEST(Options, AreTheArenasUnlessToldOtherwise) {
    const Options options = parse({});
    EXPECT_EQ(options.address.to_string(), "0.0.0.0:8080");
    EXPECT_EQ(options.workers, 0U);
    EXPECT_FALSE(options.help);
}

TEST(Options, TakeTheirValueFromTheSameWordOrTheNext) {
    const Options options = parse({"--host=127.0.0.1", "--port", "0", "--workers=3"});
    EXPECT_EQ(options.address.to_string(), "127.0.0.1:0");
    EXPECT_EQ(options.workers, 3U);
}

TEST(Options, HostMayBeIpv6) {
    EXPECT_EQ(parse({"--host", "::1"}).address.to_string(), "[::1]:8080");
}

TEST(Options, ComeFromTheEnvironmentToo) {
    const Options options =
        parse({}, {{"COIR_HOST", "127.0.0.2"}, {"COIR_PORT", "81"}, {"COIR_WORKERS", "5"}});
    EXPECT_EQ(options.address.to_string(), "127.0.0.2:81");
    EXPECT_EQ(options.workers, 5U);
}

TEST(Options, BeatTheEnvironmentEvenWhereThatIsWrong) {
    EXPECT_EQ(parse({"--port=82"}, {{"COIR_PORT", "81"}}).address.port(), 82);
    EXPECT_EQ(parse({"--port=82"}, {{"COIR_PORT", "x"}}).address.port(), 82);
}

TEST(Options, AnEmptyVariableIsNone) {
    EXPECT_EQ(parse({}, {{"COIR_PORT", ""}}).address.port(), 8080);
}

TEST(Options, TheLastOfTwoWins) {
    EXPECT_EQ(parse({"--port=82", "--port", "83"}).address.port(), 83);
}

TEST(Options, HelpNeedsNoValue) {
    EXPECT_TRUE(parse({"--help"}).help);
    EXPECT_TRUE(parse({"-h", "--port=1"}).help);
}

TEST(Options, HelpIsGivenWhateverTheValuesAre) {
    EXPECT_TRUE(parse({"--help"}, {{"COIR_PORT", "abc"}}).help);
    EXPECT_TRUE(parse({"--port=abc", "--workers=-1", "--host=nowhere", "-h"}).help);
    EXPECT_EQ(why_not({"--help", "--prot=80"}), "there is no option '--prot=80'; see --help");
}

TEST(Options, RefuseAPortThatIsNone) {
    EXPECT_EQ(why_not({"--port=65536"}),
              "--port: a port is an integer from 0 to 65535, not '65536'");
    for (const char* port : {"-1", "", "80x", " 80", "0x50", "+80", "99999999999999999999"}) {
        EXPECT_NE(why_not({"--port", port}), "") << port;
    }
}

TEST(Options, RefuseAHostThatIsNoAddress) {
    EXPECT_EQ(why_not({"--host=localhost"}),
              "--host: a host is an IPv4 or IPv6 address, not 'localhost'");
    for (const char* host : {"", "256.0.0.1", "1.2.3", "::g"}) {
        EXPECT_NE(why_not({"--host", host}), "") << host;
    }
}

TEST(Options, RefuseMoreWorkersThanAnyMachineNeeds) {
    EXPECT_EQ(why_not({"--workers", "1025"}),
              "--workers: workers are an integer from 0 (one per usable CPU) to 1024, not '1025'");
    EXPECT_NE(why_not({"--workers", "-1"}), "");
    EXPECT_NE(why_not({"--workers", "two"}), "");
    EXPECT_EQ(parse({"--workers=1024"}).workers, 1024U);
}

TEST(Options, NameTheVariableThatIsWrong) {
    EXPECT_EQ(why_not({}, {{"COIR_PORT", "http"}}),
              "COIR_PORT: a port is an integer from 0 to 65535, not 'http'");
}

TEST(Options, RefuseWhatTheyDoNotKnow) {
    EXPECT_EQ(why_not({"--prot=80"}), "there is no option '--prot=80'; see --help");
    for (const char* word : {"8080", "-p", "--", "", "--ports", "--por=1", "--help=yes"}) {
        EXPECT_NE(why_not({word}), "") << word;
    }
}

TEST(Options, RefuseAnOptionWithoutItsValue) {
    EXPECT_EQ(why_not({"--port"}), "--port needs a value");
}

TEST(Options, ComplainInOneLineWhateverTheyWereGiven) {
    EXPECT_EQ(why_not({"--port", "1\n2\x1b[0m"}),
              "--port: a port is an integer from 0 to 65535, not '1\\x0a2\\x1b[0m'");
}

}  // namespace
}  // namespace coir::server
