// coir-paced: how long do answers take when requests come at a rate of their own?
//
// A client that waits for the answer before it asks again asks less of a server that stalls, and
// measures the stall once. This one has a timetable: request i is due at i / rate. It goes out on any
// connection that is free, one at a time on each, and its latency counts from when it was due, however
// late it was sent. Every answer is checked up to its body.
//
// One thread. It spins, so that its own waking is in no latency, or with --sleep 1 waits in epoll for
// what comes next, so that servers can share its processor. --rate 0 asks again at once: the most that
// server and client can do.
//
// Prints one line in the form of baseline.lua, and one with latencies for each kind of request.

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
#include <ctime>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "answer_check.hpp"
#include "command_line.hpp"
#include "histogram.hpp"

namespace {

using coir::bench::Histogram;
using coir::bench::judge;
using coir::bench::kBaselineMix;
using coir::bench::Shape;
using coir::bench::Verdict;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// For coir-uneven: --slow-every chooses between them.
constexpr Shape kQuick{"GET /quick HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", "\r\n\r\nok"};
constexpr Shape kSlow{"GET /slow HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", "\r\n\r\nok"};

// For what is late when the time is over.
constexpr auto kGrace = 2s;
constexpr std::size_t kAnswerBytes = 4096;
constexpr std::uint64_t kMostFailures = 1000;  // then the server is broken; do not storm it

struct Options {
    const char* host = "127.0.0.1";
    int port = 0;
    int connections = 64;
    double rate = 0;
    double seconds = 2;
    double warm_up = 0.2;  // of --seconds, not counted
    int slow_every = 0;
    int sleep = 0;
};

struct Connection {
    int fd = -1;
    Clock::time_point due;
    const Shape* shape = nullptr;  // of the answer that is awaited; null if none is
    std::size_t received = 0;
    std::array<char, kAnswerBytes> answer;
};

struct Counts {
    std::uint64_t sent = 0;
    std::uint64_t requests = 0;  // that have been answered
    std::uint64_t bytes = 0;
    std::uint64_t connect_errors = 0;
    std::uint64_t read_errors = 0;
    std::uint64_t write_errors = 0;
    std::uint64_t wrong_answers = 0;
    std::uint64_t timeouts = 0;
    std::uint64_t unsent = 0;  // though due: the server is far too slow
};

std::chrono::nanoseconds to_time(double seconds) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(seconds));
}

class PacedLoad {
public:
    explicit PacedLoad(const Options& options)
        : options_(options), connections_(static_cast<std::size_t>(options.connections)) {}

    void run() {
        for (std::size_t i = 0; i < connections_.size(); ++i) {
            open(i);
        }
        begin_ = Clock::now();
        counted_from_ = begin_ + to_time(options_.warm_up);
        end_ = begin_ + to_time(options_.seconds);
        // What was due before the end is sent even if it is late, and counted with all its lateness.
        const auto last = end_ + kGrace;
        while ((is_more_to_ask() || under_way() != 0) && failures() < kMostFailures &&
               Clock::now() < last) {
            ask_what_is_due(Clock::now());
            take_answers(last);
        }
        elapsed_ = Clock::now() - begin_;
        counts_.timeouts = under_way();
        for (; options_.rate > 0 && is_more_to_ask(); ++next_) {
            ++counts_.unsent;
        }
    }

    [[nodiscard]] const Counts& counts() const { return counts_; }
    [[nodiscard]] Clock::duration elapsed() const { return elapsed_; }
    [[nodiscard]] const Histogram& quick() const { return quick_; }
    [[nodiscard]] const Histogram& slow() const { return slow_; }

private:
    [[nodiscard]] std::uint64_t failures() const {
        return counts_.connect_errors + counts_.read_errors + counts_.write_errors +
               counts_.wrong_answers;
    }
    [[nodiscard]] std::size_t under_way() const {
        return connections_.size() - free_.size() - lost_;
    }

    void open(std::size_t index) {
        Connection& connection = connections_[index];
        connection.fd = socket(AF_INET, SOCK_STREAM, 0);
        const int on = 1;
        setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        sockaddr_in server{};
        server.sin_family = AF_INET;
        server.sin_port = htons(static_cast<std::uint16_t>(options_.port));
        inet_pton(AF_INET, options_.host, &server.sin_addr);
        if (connect(connection.fd, reinterpret_cast<const sockaddr*>(&server), sizeof server) !=
            0) {
            ++counts_.connect_errors;
            lose(connection);
            return;
        }
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.u64 = index;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
        free_.push_back(index);
    }

    /// Its connection is not made anew: whoever reads the result must see an error in any case.
    void lose(Connection& connection) {
        close(connection.fd);
        connection.shape = nullptr;
        ++lost_;
    }

    [[nodiscard]] Clock::time_point due_at(std::uint64_t number) const {
        return begin_ + to_time(static_cast<double>(number) / options_.rate);
    }

    [[nodiscard]] Clock::time_point next_due() const {
        return options_.rate > 0 ? due_at(next_) : Clock::now();
    }
    [[nodiscard]] bool is_more_to_ask() const { return next_due() < end_; }

    /// Slow ones evenly: if several came at once, no scheduler could keep a worker free of them.
    [[nodiscard]] const Shape& shape_of(std::uint64_t number) const {
        if (options_.slow_every == 0) {
            return kBaselineMix[number % kBaselineMix.size()];
        }
        const auto every = static_cast<std::uint64_t>(options_.slow_every);
        return number % every == every - 1 ? kSlow : kQuick;
    }

    void ask_what_is_due(Clock::time_point now) {
        while (!free_.empty()) {
            const auto due = options_.rate > 0 ? due_at(next_) : now;
            if (due > now || due >= end_) {
                return;
            }
            ask(take_free(), due);
        }
    }

    /// Any of them: taken in turn they would keep step with the slow requests.
    std::size_t take_free() {
        std::swap(free_[random_() % free_.size()], free_.back());
        const std::size_t index = free_.back();
        free_.pop_back();
        return index;
    }

    void ask(std::size_t index, Clock::time_point due) {
        Connection& connection = connections_[index];
        connection.due = due;
        connection.shape = &shape_of(next_++);
        connection.received = 0;
        ++counts_.sent;
        const std::string_view request = connection.shape->request;
        if (send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size())) {
            ++counts_.write_errors;
            lose(connection);
        }
    }

    /// Waits for some if it may sleep, until the next request is due or `last`.
    void take_answers(Clock::time_point last) {
        std::array<epoll_event, 256> events;
        timespec patience{};
        if (options_.sleep != 0) {
            const bool asks_next = !free_.empty() && is_more_to_ask();
            const auto until = asks_next ? std::min(last, next_due()) : last;
            const auto left = std::max(Clock::duration::zero(), until - Clock::now());
            patience.tv_sec = static_cast<time_t>(left / 1s);
            patience.tv_nsec = static_cast<long>((left % 1s).count());
        }
        const int ready = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()),
                                       &patience, nullptr);
        for (int i = 0; i < ready; ++i) {
            proceed(static_cast<std::size_t>(events[static_cast<std::size_t>(i)].data.u64));
        }
    }

    void proceed(std::size_t index) {
        Connection& connection = connections_[index];
        const std::span space =
            std::span(connection.answer).subspan(std::min(connection.received, kAnswerBytes - 1));
        const ssize_t got = recv(connection.fd, space.data(), space.size(), MSG_DONTWAIT);
        if (got <= 0) {
            if (got < 0 && errno == EAGAIN) {
                return;
            }
            ++counts_.read_errors;
            lose_busy_or_free(index);
            return;
        }
        const auto now = Clock::now();
        connection.received += static_cast<std::size_t>(got);
        counts_.bytes += static_cast<std::uint64_t>(got);
        const std::string_view answer(connection.answer.data(), connection.received);
        const Verdict verdict = connection.shape == nullptr
                                    ? Verdict::wrong  // an answer to nothing
                                    : judge(answer, connection.shape->end_of_answer);
        if (verdict == Verdict::unfinished) {
            return;
        }
        if (verdict == Verdict::wrong) {
            ++counts_.wrong_answers;
            lose_busy_or_free(index);
            return;
        }
        ++counts_.requests;
        if (connection.due >= counted_from_) {
            Histogram& latencies = connection.shape == &kSlow ? slow_ : quick_;
            latencies.add(static_cast<std::uint64_t>((now - connection.due).count()));
        }
        connection.shape = nullptr;
        free_.push_back(index);
    }

    void lose_busy_or_free(std::size_t index) {
        std::erase(free_, index);
        lose(connections_[index]);
    }

    const Options options_;
    const int epoll_ = epoll_create1(0);
    std::vector<Connection> connections_;
    std::vector<std::size_t> free_;  // connections without a request under way
    std::size_t lost_ = 0;           // connections that have failed
    std::minstd_rand random_{1};
    std::uint64_t next_ = 0;  // number of the next request
    Clock::time_point begin_;
    Clock::time_point counted_from_;
    Clock::time_point end_;
    Clock::duration elapsed_{};
    Histogram quick_;
    Histogram slow_;
    Counts counts_;
};

bool read_options(int argc, char** argv, Options& options) {
    const bool are_known = coir::bench::read_command_line(argc, argv,
                                                          {{"--host", &options.host},
                                                           {"--port", &options.port},
                                                           {"--connections", &options.connections},
                                                           {"--rate", &options.rate},
                                                           {"--seconds", &options.seconds},
                                                           {"--warm-up", &options.warm_up},
                                                           {"--slow-every", &options.slow_every},
                                                           {"--sleep", &options.sleep}});
    return are_known && options.port > 0 && options.connections > 0 && options.rate >= 0 &&
           options.warm_up >= 0 && options.seconds > options.warm_up && options.slow_every >= 0;
}

unsigned long long number(std::uint64_t value) {
    return value;
}

void print_latencies(const char* kind, const Histogram& latencies) {
    std::printf("latency kind=%s count=%llu p50=%llu p90=%llu p99=%llu p999=%llu max=%llu\n", kind,
                number(latencies.count()), number(latencies.quantile(0.5)),
                number(latencies.quantile(0.9)), number(latencies.quantile(0.99)),
                number(latencies.quantile(0.999)), number(latencies.max()));
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    if (!read_options(argc, argv, options)) {
        std::fprintf(
            stderr,
            "usage: coir-paced --port P [--host 127.0.0.1] [--connections 64] [--rate 0]\n"
            "                  [--seconds 2] [--warm-up 0.2] [--slow-every 0] [--sleep 0]\n"
            "Latencies are printed in nanoseconds.\n");
        return 2;
    }
    PacedLoad load(options);
    load.run();
    const Counts& counts = load.counts();
    std::printf(
        "result requests=%llu bytes=%llu microseconds=%lld connect=%llu read=%llu write=%llu "
        "status=%llu timeout=%llu sent=%llu unsent=%llu\n",
        number(counts.requests), number(counts.bytes),
        static_cast<long long>(load.elapsed() / std::chrono::microseconds(1)),
        number(counts.connect_errors), number(counts.read_errors), number(counts.write_errors),
        number(counts.wrong_answers), number(counts.timeouts), number(counts.sent),
        number(counts.unsent));
    print_latencies("quick", load.quick());
    if (options.slow_every != 0) {
        print_latencies("slow", load.slow());
    }
}
