#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "coir/base/buffer.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/http/server.hpp"
#include "coir/net/tcp_stream.hpp"

namespace coir::http {

/// The way out to one client, while an exchange is lent to its connection: responses are collected
/// in `out` and leave together.
class Wire final {
public:
    explicit Wire(const ServerOptions& options) : options_(options) {}

    void attach(net::TcpStream& stream) noexcept {
        stream_ = &stream;
        failed_ = {};
        mark_ = kNoMark;
    }
    [[nodiscard]] net::TcpStream& stream() noexcept { return *stream_; }
    [[nodiscard]] const ServerOptions& options() const noexcept { return options_; }

    /// Writes all that has been collected. After an error every later call fails at once.
    /// Suspends: while the socket is full, until `deadline` or the server's write_timeout.
    [[nodiscard]] Result<void> flush(Deadline deadline) noexcept;
    /// The same, followed by `data` and `tail` without a copy.
    [[nodiscard]] Result<void> flush_with(std::span<const std::byte> data,
                                          std::span<const std::byte> tail,
                                          Deadline deadline) noexcept;
    /// What is collected from now on can be taken back, as long as nothing is sent.
    void mark() noexcept { mark_ = out.size(); }
    /// Forgets what has been collected since mark(). False if some of it has been sent: the rest is
    /// forgotten then.
    [[nodiscard]] bool take_back() noexcept;
    /// That of a flush, which is why later ones fail.
    [[nodiscard]] std::error_code error() const noexcept { return failed_; }
    /// Before reads, and writes of a handler's: lets others run now and then. A peer that sends or reads as fast
    /// as this fiber works would keep its worker else, for nothing ever has to be waited for.
    void give_way() noexcept;
    [[nodiscard]] bool is_over_limit() const noexcept {
        return out.size() >= options_.max_output_bytes;
    }

    Buffer out;

private:
    static constexpr std::size_t kNoMark = static_cast<std::size_t>(-1);

    [[nodiscard]] Deadline write_deadline(std::size_t bytes, Deadline deadline) const noexcept;

    const ServerOptions& options_;
    net::TcpStream* stream_ = nullptr;  // null while the exchange is not lent
    std::error_code failed_;
    std::size_t mark_ = kNoMark;  // in `out`; kNoMark if what was before it has been sent
    unsigned transfers_ = 0;
};

/// How long `bytes` may take: `timeout`, and longer the more they are, down to the slowest rate. For
/// ever, if that is more than the clock can hold.
[[nodiscard]] Deadline::Clock::duration patience(std::chrono::milliseconds timeout,
                                                 std::uint64_t bytes,
                                                 const ServerOptions& options) noexcept;

}  // namespace coir::http
