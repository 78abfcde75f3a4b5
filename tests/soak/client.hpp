#pragma once

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "coir/base/deadline.hpp"
#include "coir/net/address.hpp"
#include "coir/net/tcp_stream.hpp"
#include "support/http_reply.hpp"

namespace coir::soak {

/// The server has not done what it should.
class Wrong final : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A connection as the soak's clients use it. What must not fail throws Wrong.
class Client final {
public:
    explicit Client(const net::SocketAddress& server);

    void send(std::string_view bytes);
    /// False if the server does not want it any more.
    [[nodiscard]] bool try_send(std::string_view bytes);
    void finish_sending();
    /// The destructor resets the connection, as a client does that has crashed.
    void reset_at_the_end();

    /// The next whole reply. `to_head`: the request was a HEAD.
    test::HttpReply reply(bool to_head = false);
    /// The server wants the body.
    void expect_continue();
    /// The server sends exactly these bytes next.
    void expect_bytes(std::string_view bytes);
    /// Replies, none too: whatever comes until the server has finished, within `limit`.
    /// Empty too where the server has reset the connection.
    std::string rest(std::chrono::milliseconds limit);
    /// The server has finished sending, and has said nothing else.
    void expect_end();
    /// Reads so many bytes, or up to the end of the connection.
    void read_some(std::size_t bytes);
    /// Whether the server finishes or resets the connection within `limit`; what comes is dropped.
    [[nodiscard]] bool ends_within(std::chrono::milliseconds limit);

    [[nodiscard]] net::TcpStream& stream() noexcept { return stream_; }

private:
    /// False at the end of the connection.
    bool receive();

    net::TcpStream stream_;
    std::vector<std::byte> space_;
    std::string received_;
};

}  // namespace coir::soak
