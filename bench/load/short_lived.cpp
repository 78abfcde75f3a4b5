// coir-short-lived: load for the arena's limited profile, where connections end after ten requests.
//
// wrk cannot be told to close, so this client does what wrk does, and closes: one thread, a number
// of connections, on each one request at a time (GET, POST with Content-Length, POST chunked in
// turn). After --requests answers the client closes first, with everything read, so that the server
// sees an orderly FIN, and connects anew. Every answer is checked up to its body.
//
// Prints one line in the form of baseline.lua, plus how many connections it made.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "answer_check.hpp"
#include "command_line.hpp"

namespace {

using coir::bench::judge;
using coir::bench::kBaselineMix;
using coir::bench::Shape;
using coir::bench::Verdict;

using Clock = std::chrono::steady_clock;

// Closing first leaves the client's port in TIME_WAIT for a minute. One loopback address has 28,000
// ports, used up in two seconds; this many addresses are enough for several minutes.
constexpr std::uint32_t kClientAddresses = 64;

constexpr std::size_t kAnswerBytes = 4096;

struct Options {
    const char* host = "127.0.0.1";
    int port = 0;
    int connections = 64;
    int seconds = 2;
    int requests = 10;
};

struct Connection {
    int fd = -1;
    int answered = 0;
    std::size_t received = 0;  // of the answer that is awaited
    std::array<char, kAnswerBytes> answer;
};

struct Counts {
    std::uint64_t connections = 0;
    std::uint64_t requests = 0;
    std::uint64_t bytes = 0;
    std::uint64_t connect_errors = 0;
    std::uint64_t read_errors = 0;
    std::uint64_t write_errors = 0;
    std::uint64_t wrong_answers = 0;
};

class ShortLivedLoad {
public:
    explicit ShortLivedLoad(const Options& options)
        : options_(options), connections_(static_cast<std::size_t>(options.connections)) {
        server_.sin_family = AF_INET;
        server_.sin_port = htons(static_cast<std::uint16_t>(options.port));
        inet_pton(AF_INET, options.host, &server_.sin_addr);
    }

    void run() {
        const auto end = Clock::now() + std::chrono::seconds(options_.seconds);
        for (std::size_t i = 0; i < connections_.size(); ++i) {
            open(i);
        }
        std::array<epoll_event, 256> events;
        while (Clock::now() < end && failures() < kMostFailures) {
            const int ready =
                epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
            for (int i = 0; i < ready; ++i) {
                proceed(static_cast<std::size_t>(events[static_cast<std::size_t>(i)].data.u64));
            }
        }
    }

    const Counts& counts() const { return counts_; }

private:
    static constexpr std::uint64_t kMostFailures =
        1000;  // then the server is broken; do not storm it

    std::uint64_t failures() const {
        return counts_.connect_errors + counts_.read_errors + counts_.write_errors +
               counts_.wrong_answers;
    }

    void open(std::size_t index) {
        Connection& connection = connections_[index];
        connection.fd = socket(AF_INET, SOCK_STREAM, 0);
        connection.answered = 0;
        const int on = 1;
        setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(connection.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        sockaddr_in client{};
        client.sin_family = AF_INET;
        client.sin_addr.s_addr = htonl(INADDR_LOOPBACK + counts_.connections++ % kClientAddresses);
        bind(connection.fd, reinterpret_cast<const sockaddr*>(&client), sizeof client);
        // Blocking, for on loopback a connection is made within this call or refused.
        if (connect(connection.fd, reinterpret_cast<const sockaddr*>(&server_), sizeof server_) !=
            0) {
            ++counts_.connect_errors;
            close(connection.fd);
            return;
        }
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.u64 = index;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
        ask(connection);
    }

    const Shape& shape(const Connection& connection) const {
        return kBaselineMix[static_cast<std::size_t>(connection.answered) % kBaselineMix.size()];
    }

    void ask(Connection& connection) {
        connection.received = 0;
        const std::string_view request = shape(connection).request;
        if (send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size())) {
            ++counts_.write_errors;
        }
    }

    void proceed(std::size_t index) {
        Connection& connection = connections_[index];
        const ssize_t got = recv(connection.fd, connection.answer.data() + connection.received,
                                 connection.answer.size() - connection.received, MSG_DONTWAIT);
        if (got <= 0) {
            if (got < 0 && errno == EAGAIN) {
                return;
            }
            ++counts_.read_errors;
            reopen(index);
            return;
        }
        connection.received += static_cast<std::size_t>(got);
        counts_.bytes += static_cast<std::uint64_t>(got);
        const std::string_view answer(connection.answer.data(), connection.received);
        switch (judge(answer, shape(connection).end_of_answer)) {
            case Verdict::unfinished: return;
            case Verdict::wrong:
                ++counts_.wrong_answers;
                reopen(index);
                return;
            case Verdict::right: break;
        }
        ++counts_.requests;
        if (++connection.answered == options_.requests) {
            reopen(index);
        } else {
            ask(connection);
        }
    }

    void reopen(std::size_t index) {
        close(connections_[index].fd);
        open(index);
    }

    Options options_;
    sockaddr_in server_{};
    int epoll_ = epoll_create1(0);
    std::vector<Connection> connections_;
    Counts counts_;
};

bool read_options(int argc, char** argv, Options& options) {
    const bool are_known = coir::bench::read_command_line(argc, argv,
                                                          {{"--host", &options.host},
                                                           {"--port", &options.port},
                                                           {"--connections", &options.connections},
                                                           {"--seconds", &options.seconds},
                                                           {"--requests", &options.requests}});
    return are_known && options.port > 0 && options.connections > 0 && options.requests > 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    if (!read_options(argc, argv, options)) {
        std::fprintf(stderr,
                     "usage: coir-short-lived --port P [--host 127.0.0.1] [--connections 64]\n"
                     "                        [--seconds 2] [--requests 10]\n");
        return 2;
    }
    ShortLivedLoad load(options);
    const auto start = Clock::now();
    load.run();
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
    const Counts& counts = load.counts();
    std::printf(
        "result requests=%llu bytes=%llu microseconds=%lld connect=%llu read=%llu write=%llu "
        "status=%llu "
        "timeout=0 connections=%llu\n",
        static_cast<unsigned long long>(counts.requests),
        static_cast<unsigned long long>(counts.bytes), static_cast<long long>(elapsed.count()),
        static_cast<unsigned long long>(counts.connect_errors),
        static_cast<unsigned long long>(counts.read_errors),
        static_cast<unsigned long long>(counts.write_errors),
        static_cast<unsigned long long>(counts.wrong_answers),
        static_cast<unsigned long long>(counts.connections));
}
