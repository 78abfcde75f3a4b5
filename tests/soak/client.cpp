#include "client.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "coir/runtime/this_fiber.hpp"

namespace coir::soak {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kReadBytes = 32 * 1024;
// Far beyond every deadline of the server's: who waits so long is not served any more.
constexpr std::chrono::seconds kPatience{60};

Deadline soon() {
    return Deadline::after(kPatience);
}

net::TcpStream connect(const net::SocketAddress& server) {
    const Deadline deadline = soon();
    for (;;) {
        auto stream = net::TcpStream::connect(server, deadline);
        if (stream) {
            return std::move(*stream);
        }
        // All ports to that address are in use: those of closed connections come back.
        if (stream.error() != std::errc::address_not_available ||
            deadline.has_passed(Deadline::Clock::now())) {
            throw Wrong("cannot connect: " + stream.error().message());
        }
        (void)this_fiber::sleep_for(milliseconds(50));
    }
}

}  // namespace

Client::Client(const net::SocketAddress& server) : stream_(connect(server)), space_(kReadBytes) {
    (void)stream_.set_no_delay(true);
}

void Client::send(std::string_view bytes) {
    const auto sent = stream_.write_all(std::as_bytes(std::span(bytes)), soon());
    if (!sent) {
        throw Wrong("cannot send: " + sent.error().message());
    }
}

bool Client::try_send(std::string_view bytes) {
    return stream_.write_all(std::as_bytes(std::span(bytes)), soon()).has_value();
}

void Client::finish_sending() {
    (void)stream_.shutdown(net::Shutdown::write);
}

void Client::reset_at_the_end() {
    (void)stream_.set_reset_on_close();
}

bool Client::receive() {
    const auto size = stream_.read_some(space_, soon());
    if (!size) {
        throw Wrong("cannot read: " + size.error().message() + ", behind \"" +
                    received_.substr(0, 100) + "\"");
    }
    received_.append(reinterpret_cast<const char*>(space_.data()), *size);
    return *size != 0;
}

test::HttpReply Client::reply(bool to_head) {
    bool at_end = false;
    for (;;) {
        if (!received_.empty()) {
            auto reply = test::take_reply(received_, {.to_head = to_head, .at_end = at_end});
            if (reply) {
                return std::move(*reply);
            }
        }
        if (at_end) {
            throw Wrong("no reply, but the end, behind \"" + received_.substr(0, 100) + "\"");
        }
        at_end = !receive();
    }
}

void Client::expect_continue() {
    if (const test::HttpReply interim = reply(); interim.status != 100) {
        throw Wrong("status " + std::to_string(interim.status) + " instead of 100");
    }
}

void Client::expect_bytes(std::string_view bytes) {
    while (received_.size() < bytes.size() && receive()) {
    }
    if (!received_.starts_with(bytes)) {
        throw Wrong("\"" + received_.substr(0, 60) + "\" instead of " +
                    std::to_string(bytes.size()) + " bytes that were sent");
    }
    received_.erase(0, bytes.size());
}

std::string Client::rest(milliseconds limit) {
    const Deadline deadline = Deadline::after(limit);
    for (;;) {
        const auto size = stream_.read_some(space_, deadline);
        if (!size && size.error() == std::errc::timed_out) {
            throw Wrong("the connection does not end, behind \"" + received_.substr(0, 100) + "\"");
        }
        if (!size || *size == 0) {
            return std::exchange(received_, {});
        }
        received_.append(reinterpret_cast<const char*>(space_.data()), *size);
    }
}

void Client::expect_end() {
    if (!received_.empty() || receive()) {
        throw Wrong("more than the reply: \"" + received_.substr(0, 100) + "\"");
    }
}

void Client::read_some(std::size_t bytes) {
    while (bytes != 0) {
        const auto size =
            stream_.read_some(std::span(space_).first(std::min(bytes, kReadBytes)), soon());
        if (!size || *size == 0) {
            return;
        }
        bytes -= *size;
    }
}

bool Client::ends_within(milliseconds limit) {
    const Deadline deadline = Deadline::after(limit);
    for (;;) {
        const auto size = stream_.read_some(space_, deadline);
        if (!size) {
            return size.error() != std::errc::timed_out;
        }
        if (*size == 0) {
            return true;
        }
    }
}

}  // namespace coir::soak
