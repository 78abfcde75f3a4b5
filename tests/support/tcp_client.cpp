#include "support/tcp_client.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <system_error>
#include <thread>
#include <vector>

#include "coir/base/syscall.hpp"
#include "coir/net/address.hpp"
#include "support/patience.hpp"
#include "support/unread_bytes.hpp"

namespace coir::test {

namespace {

UniqueFd make_socket(int receive_buffer_bytes) {
    UniqueFd socket = syscall::socket(AF_INET, SOCK_STREAM, 0).value();
    syscall::set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1).value();
    if (receive_buffer_bytes != 0) {
        syscall::set_option(socket.get(), SOL_SOCKET, SO_RCVBUF, receive_buffer_bytes).value();
    }
    return socket;
}

/// False if `events` do not come before `deadline`.
bool poll_one(int fd, short events, Deadline deadline) {
    pollfd one{fd, events, 0};
    while (::poll(&one, 1, milliseconds_left(deadline)) <= 0) {
        if (deadline.has_passed(Deadline::Clock::now())) {
            return false;
        }
    }
    return true;
}

Result<void> connect_to(int fd, std::uint16_t port, Deadline deadline) {
    const auto address = net::SocketAddress::loopback(port);
    const auto connected = syscall::connect(fd, address.native(), address.native_size());
    if (connected || connected.error() != std::errc::operation_in_progress) {
        return connected;
    }
    if (!poll_one(fd, POLLOUT, deadline)) {
        return make_error_code(std::errc::timed_out);
    }
    COIR_TRY(const int error, syscall::get_option(fd, SOL_SOCKET, SO_ERROR));
    return std::error_code(error, std::system_category());
}

std::span<const std::byte> as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

}  // namespace

TcpClient::TcpClient(std::uint16_t port, int receive_buffer_bytes)
    : socket_(make_socket(receive_buffer_bytes)), server_port_(port) {
    const auto connected = connect_to(socket_.get(), port, soon());
    if (!connected) {
        throw ClientError("cannot connect: " + connected.error().message());
    }
}

void TcpClient::send(std::string_view bytes) {
    const auto sent = try_send(bytes);
    if (!sent) {
        throw ClientError("cannot send: " + sent.error().message());
    }
}

Result<void> TcpClient::try_send_urgent(char byte) {
    const auto sent = syscall::send(socket_.get(), as_bytes(std::string_view(&byte, 1)), MSG_OOB);
    return sent ? Result<void>() : Result<void>(sent.error());
}

Result<void> TcpClient::try_send(std::string_view bytes) {
    const Deadline deadline = soon();
    while (!bytes.empty()) {
        const auto sent = syscall::send(socket_.get(), as_bytes(bytes), 0);
        if (sent) {
            bytes.remove_prefix(*sent);
        } else if (syscall::would_block(sent.error())) {
            wait_until(Wait::writable, deadline);
        } else {
            return sent.error();
        }
    }
    return {};
}

void TcpClient::send_cut(std::string_view bytes, std::span<const std::size_t> cuts) {
    std::size_t sent = 0;
    for (const std::size_t cut : cuts) {
        send(bytes.substr(sent, cut - sent));
        wait_until_read();
        sent = cut;
    }
    send(bytes.substr(sent));
}

void TcpClient::send_byte_by_byte(std::string_view bytes) {
    std::vector<std::size_t> cuts(bytes.empty() ? 0 : bytes.size() - 1);
    std::iota(cuts.begin(), cuts.end(), 1);
    send_cut(bytes, cuts);
}

void TcpClient::wait_until_read() {
    const Deadline deadline = soon();
    sockaddr_storage own{};
    socklen_t length = sizeof(own);
    syscall::local_address(socket_.get(), own, length).value();
    const std::uint16_t own_port = net::SocketAddress::from_native(own).port();
    while (unread_bytes(server_port_, own_port).value_or(0) != 0) {
        if (deadline.has_passed(Deadline::Clock::now())) {
            throw ClientError("the server does not read what has been sent");
        }
        std::this_thread::yield();
    }
}

HttpReply TcpClient::receive() {
    return receive(ReplyContext{});
}

HttpReply TcpClient::receive_to_head() {
    return receive(ReplyContext{.to_head = true});
}

HttpReply TcpClient::receive(ReplyContext context) {
    const Deadline deadline = soon();
    while (true) {
        if (auto reply = take_reply(received_, context)) {
            return *std::move(reply);
        }
        if (context.at_end) {
            throw ClientError("the connection ended without a whole response; of it came: '" +
                              received_.substr(0, 256) + "'");
        }
        context.at_end = !receive_some(deadline);
    }
}

std::string TcpClient::receive_exactly(std::size_t size) {
    const Deadline deadline = soon();
    while (received_.size() < size) {
        if (!receive_some(deadline)) {
            throw ClientError("the connection ended; of the last bytes came: '" + received_ + "'");
        }
    }
    std::string bytes = received_.substr(0, size);
    received_.erase(0, size);
    return bytes;
}

std::string TcpClient::receive_rest() {
    const Deadline deadline = soon();
    while (receive_some(deadline)) {
    }
    return std::exchange(received_, {});
}

void TcpClient::expect_end() {
    const Deadline deadline = soon();
    try {
        while (received_.empty() && receive_some(deadline)) {
        }
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::connection_reset) {
            throw;
        }
    }
    if (!received_.empty()) {
        throw ClientError("the connection goes on: '" + received_.substr(0, 256) + "'");
    }
}

void TcpClient::finish_sending() {
    const auto finished = syscall::shutdown(socket_.get(), SHUT_WR);
    if (!finished && finished.error() != std::errc::not_connected) {
        throw ClientError("cannot finish sending: " + finished.error().message());
    }
}

void TcpClient::reset() {
    syscall::set_linger(socket_.get(), true, 0).value();
    socket_.reset();
}

void TcpClient::wait_until(Wait what, Deadline deadline) {
    if (!poll_one(socket_.get(), what == Wait::readable ? POLLIN : POLLOUT, deadline)) {
        throw ClientError("nothing happens; received so far: '" + received_.substr(0, 256) + "'");
    }
}

bool TcpClient::receive_some(Deadline deadline) {
    std::array<std::byte, 64 * 1024> bytes;
    while (true) {
        const auto space = std::span(bytes).first(std::min(read_limit_, bytes.size()));
        const auto count = syscall::recv(socket_.get(), space, 0);
        if (count) {
            received_.append(reinterpret_cast<const char*>(bytes.data()), *count);
            return *count != 0;
        }
        if (!syscall::would_block(count.error())) {
            throw std::system_error(count.error(), "cannot receive");
        }
        wait_until(Wait::readable, deadline);
    }
}

}  // namespace coir::test
