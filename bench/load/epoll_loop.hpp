#pragma once

// One thread, one epoll, and nothing that a server needs beside: the loop of coir-floor and coir-floor-strict, which
// differ in what they know of HTTP.
//
// Per burst of requests: one recv into memory that all connections share, all replies into one
// output buffer, one send. Per connection: one pointer, null unless a request or a reply
// is unfinished. Edge-triggered, because a level-triggered epoll polls each reported socket twice.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// For one source file of each program, and internal to it, as floor_http.hpp.
namespace coir::bench {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;     // what one recv may bring
constexpr std::size_t kPartialBytes = 16 * 1024;  // the longest request that may come in pieces

/// What a protocol says to the bytes that have come. All of it lies in the protocol's memory, until its next call.
struct Answers {
    std::string_view output;
    std::string_view rest;  // the beginning of a request that is not whole
    bool is_last = false;   // the connection ends, once the output is sent
};

constexpr int kEventsPerWait = 512;
constexpr std::uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr std::uint32_t kPeerFinished = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

volatile std::sig_atomic_t told_to_stop = 0;
volatile std::sig_atomic_t listening_on = -1;

void stop(int) {
    told_to_stop = 1;
    shutdown(listening_on, SHUT_RD);  // ends a wait that has begun since the loop has looked
}

/// `Protocol` has two functions:
///
///     char* room_behind(std::string_view kept)    where kReadBytes may be read to, behind a copy of `kept`: the `rest`
///                                                 of the connection's last answers, which lies elsewhere by now
///     Answers answer(std::size_t bytes)           to all that has come, `kept` included
template <typename Protocol>
class EpollLoop {
public:
    explicit EpollLoop(int listener) : listener_(listener) {
        if (!watch(EPOLL_CTL_ADD, listener_, EPOLLIN | EPOLLET)) std::abort();
    }

    void run() {
        std::array<epoll_event, kEventsPerWait> events;
        while (!told_to_stop) {
            const int ready = epoll_wait(epoll_, events.data(), kEventsPerWait, -1);
            for (int i = 0; i < ready; ++i) {
                const epoll_event event = events[static_cast<std::size_t>(i)];
                // A descriptor is reported once per wait: none closed here is met again below.
                event.data.fd == listener_ ? accept_all() : serve(event.data.fd, event.events);
            }
        }
    }

private:
    /// What a connection has to remember between two events; most have nothing.
    struct Unfinished {
        std::string input;   // the beginning of a request
        std::string output;  // replies that the socket did not take
        bool is_last = false;
    };

    bool watch(int operation, int fd, std::uint32_t events) {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        return epoll_ctl(epoll_, operation, fd, &event) == 0;
    }

    std::unique_ptr<Unfinished>& unfinished(int fd) {
        return unfinished_[static_cast<std::size_t>(fd)];
    }

    Unfinished& remember(int fd) {
        if (!unfinished(fd)) unfinished(fd) = std::make_unique<Unfinished>();
        return *unfinished(fd);
    }

    void accept_all() {
        for (;;) {
            // EMFILE ends the loop like EAGAIN does: the rest waits until the next client comes.
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
            if (fd < 0) return;
            if (unfinished_.size() <= static_cast<std::size_t>(fd)) {
                unfinished_.resize(static_cast<std::size_t>(fd) * 2 + 64);
            }
            if (!watch(EPOLL_CTL_ADD, fd, kReadEvents)) close(fd);
        }
    }

    void drop(int fd) {
        unfinished(fd).reset();
        close(fd);
    }

    void serve(int fd, std::uint32_t events) {
        const Unfinished* const before = unfinished(fd).get();
        if (before != nullptr && !before->output.empty() && !flush(fd, events)) return;
        for (;;) {
            const Unfinished* const rest = unfinished(fd).get();
            const std::string_view kept = rest != nullptr ? rest->input : std::string_view();
            const ssize_t got = recv(fd, protocol_.room_behind(kept), kReadBytes, 0);
            if (got <= 0) {
                if (got == 0 || errno != EAGAIN) drop(fd);
                return;
            }
            // A short read has emptied the socket. If the event told of the peer's end as well, it
            // was right behind these bytes, and a second read could only confirm it.
            const bool drained = static_cast<std::size_t>(got) < kReadBytes;
            const bool is_last = drained && (events & kPeerFinished) != 0;
            if (!answer(fd, kept.size() + static_cast<std::size_t>(got), is_last) || drained) {
                return;
            }
        }
    }

    /// Answers what has come; false if no more may be read from the connection now.
    bool answer(int fd, std::size_t bytes, bool is_last) {
        const Answers answers = protocol_.answer(bytes);
        is_last = is_last || answers.is_last || answers.rest.size() > kPartialBytes;
        if (!answers.rest.empty() && !is_last) [[unlikely]] {
            remember(fd).input = answers.rest;
        } else if (unfinished(fd) != nullptr) [[unlikely]] {
            unfinished(fd).reset();
        }
        return send_output(fd, answers.output, is_last);
    }

    bool send_output(int fd, std::string_view output, bool is_last) {
        if (!output.empty()) {
            ssize_t sent = send(fd, output.data(), output.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) sent = 0;
            if (sent >= 0 && static_cast<std::size_t>(sent) < output.size()) [[unlikely]] {
                output.remove_prefix(static_cast<std::size_t>(sent));
                return keep_output(fd, output, is_last);
            }
            is_last = is_last || sent < 0;
        }
        if (is_last) drop(fd);
        return !is_last;
    }

    bool keep_output(int fd, std::string_view rest, bool is_last) {
        remember(fd).output = rest;
        remember(fd).is_last = is_last;
        // Asked for only now, and kept afterwards: edge-triggered it costs nothing more.
        watch(EPOLL_CTL_MOD, fd, kReadEvents | EPOLLOUT);
        return false;
    }

    /// Sends what was kept; true when all is out and the connection may be read again.
    bool flush(int fd, std::uint32_t events) {
        if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
            drop(fd);
            return false;
        }
        // Input that comes meanwhile waits in the socket; serve() reads it after the flush.
        if ((events & EPOLLOUT) == 0) return false;
        const std::string output = std::move(unfinished(fd)->output);
        unfinished(fd)->output.clear();
        return send_output(fd, output, unfinished(fd)->is_last);
    }

    int listener_;
    int epoll_ = epoll_create1(0);
    std::vector<std::unique_ptr<Unfinished>> unfinished_;  // by descriptor
    Protocol protocol_;
};

// ---- start ----

int listen_on(const char* program, const sockaddr_in& address) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(fd, 4096) != 0) {
        std::fprintf(stderr, "%s: cannot listen: %s\n", program, std::strerror(errno));
        std::exit(1);
    }
    return fd;
}

void allow_many_descriptors() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/// The whole program.
template <typename Protocol>
int serve_by(const char* program, int argc, char** argv) {
    const char* host = "127.0.0.1";
    int port = -1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--host") {
            host = argv[i + 1];
        } else if (option == "--port") {
            port = std::atoi(argv[i + 1]);
        } else {
            port = -1;
            break;
        }
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    if (port < 0 || port > 65535 || argc % 2 == 0 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        std::fprintf(stderr, "usage: %s --port P [--host 127.0.0.1]\n", program);
        return 2;
    }

    allow_many_descriptors();
    const int listener = listen_on(program, address);
    listening_on = listener;
    for (const int signal : {SIGTERM, SIGINT}) {
        std::signal(signal, stop);
    }
    socklen_t size = sizeof address;
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    std::printf("%s listening on %s:%d\n", program, host, ntohs(address.sin_port));
    std::fflush(stdout);
    EpollLoop<Protocol>(listener).run();
    return 0;
}

}  // namespace
}  // namespace coir::bench
