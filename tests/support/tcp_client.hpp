#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"
#include "support/http_reply.hpp"

namespace coir::test {

/// The connection did not do what the test waits for; what() says what came instead.
class ClientError final : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A client on 127.0.0.1 as plain as can be: blocking calls on one socket, without the library's
/// fibers. Every wait ends after kPatience. Errors: throws ClientError and MalformedReply.
class TcpClient final {
public:
    /// Connects. A small receive buffer makes a client that the server has to wait for.
    explicit TcpClient(std::uint16_t port, int receive_buffer_bytes = 0);

    void send(std::string_view bytes);
    /// As send(), for bytes that the server may refuse while they are sent.
    [[nodiscard]] Result<void> try_send(std::string_view bytes);
    /// Out of band (MSG_OOB).
    [[nodiscard]] Result<void> try_send_urgent(char byte);
    /// Cuts `bytes` before each of the offsets, which ascend. Each piece is sent when the server has
    /// read the one before.
    void send_cut(std::string_view bytes, std::span<const std::size_t> cuts);
    void send_byte_by_byte(std::string_view bytes);
    /// Until the server's socket holds no byte that the server has not read. Does nothing where the
    /// kernel has no sock_diag(7); pieces may arrive as one then.
    void wait_until_read();

    /// The next response, wherever the server's writes have cut it.
    [[nodiscard]] HttpReply receive();
    /// The next response, to a HEAD.
    [[nodiscard]] HttpReply receive_to_head();
    /// The next `size` bytes, of what is no HTTP.
    [[nodiscard]] std::string receive_exactly(std::size_t size);
    /// All bytes until the server finishes.
    [[nodiscard]] std::string receive_rest();
    /// Waits until the server finishes or resets.
    /// Errors: throws ClientError if it sends anything before.
    void expect_end();
    /// The most that one read takes.
    void read_at_most(std::size_t bytes) { read_limit_ = bytes; }
    /// What has been received and not been taken.
    [[nodiscard]] std::string_view unread() const noexcept { return received_; }

    /// Half-close: nothing more will be sent, answers are still read. Nothing happens if the server has
    /// reset the connection.
    void finish_sending();
    /// Ends the connection with a RST.
    void reset();
    void close() noexcept { socket_.reset(); }

private:
    enum class Wait { readable, writable };

    void wait_until(Wait what, Deadline deadline);
    /// Appends what comes to received_. False at the end of the stream.
    [[nodiscard]] bool receive_some(Deadline deadline);
    [[nodiscard]] HttpReply receive(ReplyContext context);

    UniqueFd socket_;
    std::uint16_t server_port_;
    std::string received_;
    std::size_t read_limit_ = 64 * 1024;
};

}  // namespace coir::test
