// coir-floor: the least CPU that the arena's requests can cost on one epoll thread.
//
// "Fast" needs something to be compared with. This program is that yardstick, not a server: it
// answers exactly the request shapes of the load benchmark and closes the connection on everything
// else. That is why it may cut corners that coir may not: no routes to speak of, one limit, no
// timeouts, no error replies, header fields skipped unread but for two, no trailers, no chunk
// extensions, no HTTP/1.0. It may not cut these, for coir pays for them too: requests are framed
// correctly wherever the bytes are split, bodies are parsed and summed, field names match in any
// case, and a client that does not read is waited for.
//
// Per burst of requests: one recv into a scratch buffer that all connections share, all replies
// into one output buffer, one send. Per connection: one pointer, null unless a request or a reply
// is unfinished. Edge-triggered, because a level-triggered epoll polls each reported socket twice.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

static_assert(std::endian::native == std::endian::little,
              "word() compares text as little-endian integers");

constexpr std::size_t kReadBytes = 64 * 1024;     // what one recv may bring
constexpr std::size_t kPartialBytes = 16 * 1024;  // the longest request that may come in pieces
constexpr std::size_t kPaddingBytes = 64;         // readable newlines behind the input

// The shortest request ("GET /pipeline HTTP/1.1\r\n\r\n", 26 bytes) has the longest reply in
// proportion, 66 bytes. Four times the input holds all replies to it: nothing checks for room.
constexpr std::size_t kOutputBytes = 4 * (kReadBytes + kPartialBytes);

constexpr int kEventsPerWait = 512;
constexpr std::uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr std::uint32_t kPeerFinished = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

// ---- text ----
//
// Input is followed by kPaddingBytes newlines. So a search for a newline ends, and a comparison
// that runs past the end reads defined bytes, without a check at every step. A result behind `end`
// then means "not all arrived yet".

/// Up to eight characters as the integer that load() makes of them, the first in the lowest byte.
constexpr std::uint64_t word(std::string_view text) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        value |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    }
    return value;
}

std::uint64_t load(const char* at) {
    std::uint64_t value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
}

/// Folds letters to lower case, and some other characters too ('\r' to '-'): near enough here.
std::uint64_t load_lower(const char* at) {
    return load(at) | word("        ");
}

constexpr std::uint64_t kTwoBytes = 0xffff;
constexpr std::uint64_t kSevenBytes = ~std::uint64_t{0} >> 8;

const char* find_newline(const char* at) {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    for (;; at += 8) {
        const std::uint64_t bytes = load(at) ^ (kOnes * '\n');
        const std::uint64_t zeros = (bytes - kOnes) & ~bytes & (kOnes << 7);
        if (zeros != 0) return at + std::countr_zero(zeros) / 8;
    }
}

/// An integer whose digits may come in pieces: a chunked body may be cut between any two of them.
class IntegerParser {
public:
    /// Takes characters up to the first that is not of the number; returns where that is.
    const char* take(const char* at, const char* limit) {
        if (digits_ == 0 && !negative_ && at != limit && *at == '-') {
            negative_ = true;
            ++at;
        }
        for (; at < limit; ++at, ++digits_) {
            const unsigned digit = static_cast<unsigned char>(*at) - unsigned{'0'};
            if (digit > 9) break;
            magnitude_ = magnitude_ * 10 + digit;
        }
        return at;
    }

    /// 18 digits always fit; the larger numbers that would still fit are not understood here.
    bool valid() const { return digits_ > 0 && digits_ <= 18; }
    bool empty() const { return digits_ == 0 && !negative_; }
    std::uint64_t value() const { return negative_ ? 0 - magnitude_ : magnitude_; }

private:
    std::uint64_t magnitude_ = 0;
    unsigned digits_ = 0;
    bool negative_ = false;
};

// ---- requests ----

enum class Parsed { whole, partial, bad };

struct Request {
    bool is_pipeline = false;
    bool is_chunked = false;
    bool has_length = false;
    std::uint64_t body_bytes = 0;
    std::uint64_t sum = 0;  // of query and body; unsigned, so that overflow is defined
};

/// Reads `?name=integer&name=integer`; returns where it ends, or null.
const char* parse_query(const char* at, const char* end, Request& request) {
    do {
        for (++at; *at != '='; ++at) {
            if (*at == ' ' || *at == '\n') return nullptr;
        }
        IntegerParser value;
        at = value.take(at + 1, end);
        if (!value.valid()) return nullptr;
        request.sum += value.value();
    } while (*at == '&');
    return at;
}

/// Reads the request line; returns where the header fields begin, or null.
const char* parse_request_line(const char* at, const char* end, Request& request) {
    if (load(at) == word("GET /pip")) {
        request.is_pipeline = true;
        const bool exact = load(at + 8) == word("eline HT") && load(at + 16) == word("TP/1.1\r\n");
        return exact ? at + 24 : nullptr;
    }
    if (load(at) == word("GET /bas") && load(at + 7) == word("seline11")) {
        at += 15;
    } else if (load(at) == word("POST /ba") && load(at + 8) == word("seline11")) {
        at += 16;
    } else {
        return nullptr;
    }
    if (*at == '?') {
        at = parse_query(at, end, request);
        if (at == nullptr) return nullptr;
    }
    return load(at) == word(" HTTP/1.") && load(at + 3) == word("TP/1.1\r\n") ? at + 11 : nullptr;
}

/// Reads the header fields and the empty line; returns where the body begins, or null.
const char* parse_fields(const char* at, const char* end, Request& request) {
    while (at < end) {
        if (*at == '\r') return at[1] == '\n' ? at + 2 : nullptr;
        const std::uint64_t name = load_lower(at);
        if (name == word("content-") && (load_lower(at + 8) & kSevenBytes) == word("length:")) {
            for (at += 15; *at == ' '; ++at) {
            }
            IntegerParser length;
            at = length.take(at, end);
            if (!length.valid() || *at != '\r' || request.has_length) return nullptr;
            request.has_length = true;
            request.body_bytes = length.value();
        } else if (name == word("transfer") && load_lower(at + 8) == word("-encodin")) {
            if (load_lower(at + 16) != word("g: chunk") ||
                (load_lower(at + 24) & kTwoBytes) != word("ed") || at[26] != '\r') {
                return nullptr;
            }
            request.is_chunked = true;
        }
        at = find_newline(at) + 1;
    }
    return nullptr;
}

Parsed add_body(const IntegerParser& number, Request& request) {
    if (number.empty()) return Parsed::whole;
    request.sum += number.value();
    return number.valid() ? Parsed::whole : Parsed::bad;
}

Parsed parse_sized_body(const char*& at, const char* end, Request& request) {
    if (request.body_bytes > kPartialBytes) return Parsed::bad;
    const char* const body_end = at + request.body_bytes;
    if (body_end > end) return Parsed::partial;
    IntegerParser number;
    at = number.take(at, body_end);
    return at == body_end ? add_body(number, request) : Parsed::bad;
}

Parsed parse_chunked_body(const char*& at, const char* end, Request& request) {
    const auto mismatch = [&] { return at + 2 > end ? Parsed::partial : Parsed::bad; };
    const auto take_line_end = [&] {
        const bool there = at + 2 <= end && at[0] == '\r' && at[1] == '\n';
        at += there ? 2 : 0;
        return there;
    };
    IntegerParser number;
    for (;;) {
        std::size_t chunk_bytes = 0;
        const auto [size_end, error] = std::from_chars(at, end, chunk_bytes, 16);
        if (error != std::errc{}) return at == end ? Parsed::partial : Parsed::bad;
        at = size_end;
        if (!take_line_end()) return mismatch();
        if (chunk_bytes == 0) break;
        if (chunk_bytes > kPartialBytes) return Parsed::bad;
        const char* const chunk_end = at + chunk_bytes;
        if (chunk_end > end) return Parsed::partial;
        at = number.take(at, chunk_end);
        if (at != chunk_end) return Parsed::bad;
        if (!take_line_end()) return mismatch();
    }
    return take_line_end() ? add_body(number, request) : mismatch();
}

/// Reads one request. `at` moves behind it only if it is whole.
Parsed parse_request(const char*& at, const char* end, Request& request) {
    const char* next = parse_request_line(at, end, request);
    if (next != nullptr) next = parse_fields(next, end, request);
    if (next == nullptr || next > end) {
        // Nothing above asked whether it failed on bytes that are still to come. That is rare and
        // decided here; the price is that nonsense is refused only when its empty line is there.
        const std::string_view head(at, static_cast<std::size_t>(end - at));
        return head.find("\r\n\r\n") == std::string_view::npos ? Parsed::partial : Parsed::bad;
    }
    Parsed body = Parsed::whole;
    if (request.is_chunked) {
        body = request.has_length ? Parsed::bad : parse_chunked_body(next, end, request);
    } else if (request.has_length) {
        body = parse_sized_body(next, end, request);
    }
    if (body == Parsed::whole) at = next;
    return body;
}

// ---- replies ----

constexpr std::string_view kPipelineReply =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

constexpr std::size_t kMostSumBytes = 20;  // "-9223372036854775808"
constexpr std::size_t kMostHeadBytes = 65;

/// The head of a reply for each length of a sum; of one size, so that copying needs no loop.
using ReplyHeads = std::array<std::array<char, kMostHeadBytes>, kMostSumBytes + 1>;

ReplyHeads make_reply_heads() {
    ReplyHeads heads{};
    for (std::size_t length = 0; length < heads.size(); ++length) {
        const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
                                 std::to_string(length) + "\r\n\r\n";
        head.copy(heads[length].data(), kMostHeadBytes);
    }
    return heads;
}

const ReplyHeads kReplyHeads = make_reply_heads();

char* write_reply(char* out, const Request& request) {
    if (request.is_pipeline) {
        std::memcpy(out, kPipelineReply.data(), kPipelineReply.size());
        return out + kPipelineReply.size();
    }
    std::array<char, kMostSumBytes> digits;
    const auto sum = static_cast<std::int64_t>(request.sum);
    const char* const digits_end = std::to_chars(digits.begin(), digits.end(), sum).ptr;
    const auto length = static_cast<std::size_t>(digits_end - digits.data());
    std::memcpy(out, kReplyHeads[length].data(), kMostHeadBytes);
    out += length < 10 ? kMostHeadBytes - 1 : kMostHeadBytes;
    std::memcpy(out, digits.data(), digits.size());
    return out + length;
}

// ---- the loop ----

volatile std::sig_atomic_t told_to_stop = 0;
volatile std::sig_atomic_t listening_on = -1;

void stop(int) {
    told_to_stop = 1;
    shutdown(listening_on, SHUT_RD);  // ends a wait that has begun since the loop has looked
}

class Floor {
public:
    explicit Floor(int listener) : listener_(listener) {
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
        const Unfinished* const kept = unfinished(fd).get();
        if (kept != nullptr && !kept->output.empty() && !flush(fd, events)) return;
        for (;;) {
            std::size_t used = 0;
            if (const Unfinished* const rest = unfinished(fd).get()) [[unlikely]] {
                used = rest->input.copy(input_.get(), kPartialBytes);
            }
            const ssize_t got = recv(fd, input_.get() + used, kReadBytes, 0);
            if (got <= 0) {
                if (got == 0 || errno != EAGAIN) drop(fd);
                return;
            }
            // A short read has emptied the socket. If the event told of the peer's end as well, it
            // was right behind these bytes, and a second read could only confirm it.
            const bool drained = static_cast<std::size_t>(got) < kReadBytes;
            const bool is_last = drained && (events & kPeerFinished) != 0;
            if (!answer(fd, used + static_cast<std::size_t>(got), is_last) || drained) return;
        }
    }

    /// Answers the requests in `input_`; false if no more may be read from the connection now.
    bool answer(int fd, std::size_t size, bool is_last) {
        const char* at = input_.get();
        const char* const end = at + size;
        std::memset(input_.get() + size, '\n', kPaddingBytes);
        char* out = output_.get();
        Parsed parsed = Parsed::whole;
        while (at != end) {
            Request request;
            parsed = parse_request(at, end, request);
            if (parsed != Parsed::whole) break;
            out = write_reply(out, request);
        }

        const auto partial_bytes = static_cast<std::size_t>(end - at);
        is_last = is_last || parsed == Parsed::bad || partial_bytes > kPartialBytes;
        if (partial_bytes != 0 && !is_last) [[unlikely]] {
            remember(fd).input.assign(at, partial_bytes);
        } else if (unfinished(fd) != nullptr) [[unlikely]] {
            unfinished(fd).reset();
        }
        return send_output(fd, {output_.get(), out}, is_last);
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
    std::unique_ptr<char[]> input_ =
        std::make_unique<char[]>(kPartialBytes + kReadBytes + kPaddingBytes);
    std::unique_ptr<char[]> output_ = std::make_unique<char[]>(kOutputBytes);
};

// ---- start ----

int listen_on(const sockaddr_in& address) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(fd, 4096) != 0) {
        std::perror("coir-floor: cannot listen");
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

}  // namespace

int main(int argc, char** argv) {
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
        std::fprintf(stderr, "usage: coir-floor --port P [--host 127.0.0.1]\n");
        return 2;
    }

    allow_many_descriptors();
    const int listener = listen_on(address);
    listening_on = listener;
    for (const int signal : {SIGTERM, SIGINT}) {
        std::signal(signal, stop);
    }
    socklen_t size = sizeof address;
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    std::printf("coir-floor listening on %s:%d\n", host, ntohs(address.sin_port));
    std::fflush(stdout);
    Floor(listener).run();
}
