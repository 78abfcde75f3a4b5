// coir-steady: load whose measured part begins when every connection is open and has been answered.
//
// wrk's clock starts before its first connection does, so with thousands of them a run contains their
// making, or ends before it. This client opens all of them, a few at a time, each of which is answered once;
// lets them run warm; and then, at two instants, reads the clock, the count of answers, and the CPU clocks
// of the servers' processes, so that all three are of the same interval. On every connection one burst is
// under way: one request of the baseline mix, or 16 pipelined ones. Every answer is checked in its size,
// status and body; a wrong one, and a connection that ends, end the run.
//
// It spins, or with --sleep 1 waits in epoll. A client that sleeps is woken by the server's `send`, at the
// server's expense: how often depends on which of the two is faster, which is not what is asked.
//
// Prints one line: "result requests=... connections=... served=... microseconds=... cpu_nanoseconds=... sleeps=...",
// where `served` counts the connections that were answered in the interval, and `sleeps` how often the client slept.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "command_line.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Burst {
    std::string requests;
    std::string_view end_of_answer;  // of each
    std::size_t depth;
};

std::vector<Burst> bursts_of(std::string_view profile) {
    const std::string host = " HTTP/1.1\r\nHost: localhost:8080\r\n";
    if (profile == "pipelined") {
        std::string requests;
        for (int i = 0; i != 16; ++i) {
            requests += "GET /pipeline" + host + "\r\n";
        }
        return {{requests, "\r\n\r\nok", 16}};
    }
    if (profile != "baseline") {
        return {};
    }
    const std::string post = "POST /baseline11?a=13&b=42" + host;
    return {{"GET /baseline11?a=13&b=42" + host + "\r\n", "\r\n\r\n55", 1},
            {post + "Content-Length: 2\r\n\r\n20", "\r\n\r\n75", 1},
            {post + "Transfer-Encoding: chunked\r\n\r\n2\r\n20\r\n0\r\n\r\n", "\r\n\r\n75", 1}};
}

// A closed connection leaves its port in TIME_WAIT for a minute, and one address has 28,000 ports.
constexpr std::uint32_t kClientAddresses = 64;
// Fewer than the kernel holds for a server that has yet to accept them.
constexpr std::size_t kOpenedAtOnce = 256;
constexpr std::chrono::seconds kPatience{30};  // for all answers of those, and to connect
constexpr int kMostSleepMs = 100;              // until it looks whether the time is over

struct Options {
    const char* host = "127.0.0.1";
    const char* profile = "baseline";
    long port = 0;
    long connections = 64;
    long threads = 1;
    long warm_up_ms = 500;
    long measured_ms = 2000;
    long answer_bytes = 0;
    int sleep = 0;
    std::vector<pid_t> pids;
};

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "coir-steady: %s\n", what);
    std::_Exit(EXIT_FAILURE);
}

enum class Phase { warming, measuring, over };

/// What all threads share.
struct Shared {
    const Options& options;
    const std::vector<Burst> bursts;
    std::latch open;
    std::atomic<Phase> phase{Phase::warming};
};

/// One thread's connections.
class Loader final {
public:
    Loader(Shared& shared, std::size_t first, std::size_t count)
        : shared_(shared),
          first_(first),
          answer_bytes_(static_cast<std::size_t>(shared.options.answer_bytes)),
          capacity_(answer_bytes_ * shared.bursts.front().depth + 1),
          connections_(count),
          received_(std::make_unique<char[]>(count * capacity_)) {}

    void run() {
        for (std::size_t i = 0; i != connections_.size(); ++i) {
            open(i);
            const std::size_t in_batch = i % kOpenedAtOnce + 1;
            if (in_batch == kOpenedAtOnce || i + 1 == connections_.size()) {
                await_first_answers(in_batch);
            }
        }
        shared_.open.arrive_and_wait();
        for (std::size_t i = 0; i != connections_.size(); ++i) {
            ask(i);
        }
        const int milliseconds = shared_.options.sleep != 0 ? kMostSleepMs : 0;
        while (shared_.phase.load(std::memory_order_relaxed) != Phase::over) {
            poll(milliseconds, [this](std::size_t i) { ask(i); });
        }
        for (const Connection& connection : connections_) {
            ::close(connection.fd);
        }
    }

    /// Threads: any. `served` is exact only after run().
    std::uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
    std::uint64_t served() const { return served_; }

private:
    struct Connection {
        int fd = -1;
        std::uint32_t turn = 0;
        std::size_t received = 0;  // of the burst of answers that is awaited
        bool served = false;
    };

    const Burst& burst(const Connection& connection) const {
        return shared_.bursts[connection.turn % shared_.bursts.size()];
    }

    void open(std::size_t index) {
        Connection& connection = connections_[index];
        connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        connection.turn = static_cast<std::uint32_t>(index);  // all shapes at any moment
        const int on = 1;
        ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(connection.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(
            INADDR_LOOPBACK + static_cast<std::uint32_t>((first_ + index) % kClientAddresses));
        if (::bind(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
            0) {
            fail("cannot open a socket; is the limit of descriptors high enough (ulimit -Hn)?");
        }
        address.sin_port = htons(static_cast<std::uint16_t>(shared_.options.port));
        ::inet_pton(AF_INET, shared_.options.host, &address.sin_addr);
        // Blocking, for on loopback a connection is made within this call or refused.
        if (::connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
            0) {
            fail("cannot connect");
        }
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.u64 = index;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
        ask(index);
    }

    void ask(std::size_t index) {
        Connection& connection = connections_[index];
        const std::string& text = burst(connection).requests;
        if (::send(connection.fd, text.data(), text.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(text.size())) {
            fail("cannot send");
        }
    }

    void await_first_answers(std::size_t count) {
        const auto end = Clock::now() + kPatience;
        while (count != 0) {
            if (Clock::now() > end) {
                fail("a connection got no first answer");
            }
            poll(kMostSleepMs, [&](std::size_t) { --count; });
        }
    }

    template <typename F>
    void poll(int milliseconds, F when_answered) {
        const int ready =
            ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), milliseconds);
        for (int i = 0; i < ready; ++i) {
            const auto index =
                static_cast<std::size_t>(events_[static_cast<std::size_t>(i)].data.u64);
            if (read_answers(index)) {
                when_answered(index);
            }
        }
    }

    /// Whether those of the burst have come.
    bool read_answers(std::size_t index) {
        Connection& connection = connections_[index];
        char* const into = received_.get() + index * capacity_;
        const ssize_t got = ::recv(connection.fd, into + connection.received,
                                   capacity_ - connection.received, MSG_DONTWAIT);
        if (got <= 0) {
            if (got < 0 && errno == EAGAIN) {
                return false;
            }
            fail("the server ended a connection");
        }
        connection.received += static_cast<std::size_t>(got);
        const Burst& sent = burst(connection);
        if (connection.received < sent.depth * answer_bytes_) {
            return false;
        }
        check(sent, {into, connection.received});
        requests_.store(requests() + sent.depth, std::memory_order_relaxed);
        if (!connection.served &&
            shared_.phase.load(std::memory_order_relaxed) == Phase::measuring) {
            connection.served = true;
            ++served_;
        }
        connection.received = 0;
        ++connection.turn;
        return true;
    }

    void check(const Burst& sent, std::string_view answers) const {
        if (answers.size() != sent.depth * answer_bytes_) {
            fail("answers of another size than expected");
        }
        for (; !answers.empty(); answers.remove_prefix(answer_bytes_)) {
            const std::string_view answer = answers.substr(0, answer_bytes_);
            if (!answer.starts_with("HTTP/1.1 200 ") || !answer.ends_with(sent.end_of_answer)) {
                fail("a wrong answer");
            }
        }
    }

    Shared& shared_;
    const std::size_t first_;
    const std::size_t answer_bytes_;
    const std::size_t capacity_;  // one byte more than is expected, so that more is seen
    const int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    std::array<epoll_event, 256> events_;
    std::vector<Connection> connections_;
    std::unique_ptr<char[]> received_;
    alignas(64) std::atomic<std::uint64_t> requests_{0};  // written by its thread only
    std::uint64_t served_ = 0;
};

struct Reading {
    Clock::time_point time = Clock::now();
    std::uint64_t requests = 0;
    std::int64_t cpu_nanoseconds = 0;
    long sleeps = 0;
};

Reading read_all(const std::vector<std::unique_ptr<Loader>>& loaders,
                 const std::vector<pid_t>& pids) {
    Reading reading;
    for (const auto& loader : loaders) {
        reading.requests += loader->requests();
    }
    for (const pid_t pid : pids) {
        clockid_t clock;
        timespec used;
        if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) {
            fail("cannot read the server's CPU clock");
        }
        reading.cpu_nanoseconds += used.tv_sec * 1'000'000'000 + used.tv_nsec;
    }
    rusage own{};
    ::getrusage(RUSAGE_SELF, &own);
    reading.sleeps = own.ru_nvcsw;
    return reading;
}

void run(const Options& options) {
    const auto threads = static_cast<std::size_t>(options.threads);
    const auto connections = static_cast<std::size_t>(options.connections);
    Shared shared{options, bursts_of(options.profile), std::latch(options.threads + 1)};
    std::vector<std::unique_ptr<Loader>> loaders;
    for (std::size_t i = 0; i != threads; ++i) {
        const std::size_t first = connections * i / threads;
        const std::size_t end = connections * (i + 1) / threads;
        loaders.push_back(std::make_unique<Loader>(shared, first, end - first));
    }
    std::vector<std::jthread> running;
    for (const auto& loader : loaders) {
        running.emplace_back([&loader] { loader->run(); });
    }
    shared.open.arrive_and_wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(options.warm_up_ms));
    shared.phase.store(Phase::measuring, std::memory_order_relaxed);
    const Reading before = read_all(loaders, options.pids);
    std::this_thread::sleep_for(std::chrono::milliseconds(options.measured_ms));
    const Reading after = read_all(loaders, options.pids);
    shared.phase.store(Phase::over, std::memory_order_relaxed);
    running.clear();  // joins them

    std::uint64_t served = 0;
    for (const auto& loader : loaders) {
        served += loader->served();
    }
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::microseconds>(after.time - before.time);
    std::printf(
        "result requests=%llu connections=%zu served=%llu microseconds=%lld "
        "cpu_nanoseconds=%lld sleeps=%ld\n",
        static_cast<unsigned long long>(after.requests - before.requests), connections,
        static_cast<unsigned long long>(served), static_cast<long long>(elapsed.count()),
        static_cast<long long>(after.cpu_nanoseconds - before.cpu_nanoseconds),
        after.sleeps - before.sleeps);
}

bool read_options(int argc, char** argv, Options& options) {
    const bool are_known =
        coir::bench::read_command_line(argc, argv,
                                       {{"--host", &options.host},
                                        {"--profile", &options.profile},
                                        {"--port", &options.port},
                                        {"--connections", &options.connections},
                                        {"--threads", &options.threads},
                                        {"--warm-up-ms", &options.warm_up_ms},
                                        {"--measured-ms", &options.measured_ms},
                                        {"--answer-bytes", &options.answer_bytes},
                                        {"--sleep", &options.sleep},
                                        {"--pid", &options.pids}});
    return are_known && options.port > 0 && options.threads > 0 &&
           options.connections >= options.threads && options.answer_bytes > 0 &&
           options.measured_ms > 0 && options.warm_up_ms >= 0 &&
           !bursts_of(options.profile).empty();
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    if (!read_options(argc, argv, options)) {
        std::fprintf(stderr,
                     "usage: coir-steady --port P --answer-bytes N [--host 127.0.0.1]\n"
                     "                   [--profile baseline|pipelined] [--connections 64]\n"
                     "                   [--threads 1] [--warm-up-ms 500] [--measured-ms 2000]\n"
                     "                   [--sleep 0] [--pid SERVER]...\n");
        return 2;
    }
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    run(options);
}
