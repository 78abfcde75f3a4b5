#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "coir/base/buffer.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/http/server.hpp"
#include "coir/net/tcp_stream.hpp"
#include "patience.hpp"

namespace coir::http {

/// The way out to one client, while an exchange is lent to its connection: responses are collected
/// in `out` and leave together.
class Wire final {
public:
    explicit Wire(const ServerOptions& options)
        : options_(options), patience_(options.write_timeout, options.slowest_bytes_per_second) {}

    void attach(net::TcpStream& stream) noexcept {
        stream_ = &stream;
        if (failed_) {
            failed_ = {};  // a call, into another library
        }
        mark_ = kNoMark;
        patience_.renew();
    }
    [[nodiscard]] net::TcpStream& stream() noexcept { return *stream_; }
    [[nodiscard]] const ServerOptions& options() const noexcept { return options_; }

    /// Writes all that has been collected. What a `deadline`, the caller's task-wide one or a request
    /// to stop has left unsent stays for a later call; after any other error they all fail at once.
    /// Suspends: while the socket is full, until those or the end of the patience with the client: it
    ///           begins with the exchange, and no flush renews it.
    [[nodiscard]] Result<void> flush(Deadline deadline) noexcept;
    /// The same, followed by `data` and `tail` without a copy. What is left of these after an error is
    /// not sent by a later call.
    [[nodiscard]] Result<void> flush_with(std::span<const std::byte> data,
                                          std::span<const std::byte> tail,
                                          Deadline deadline) noexcept;
    /// What has been collected, then a piece of a file. An error of the file's (unexpected_eof,
    /// invalid_argument, ...) leaves the wire as it is.
    [[nodiscard]] Result<void> send_file(int file, std::uint64_t offset, std::uint64_t bytes,
                                         Deadline deadline) noexcept;
    /// What is collected from now on can be taken back, as long as nothing is sent.
    void mark() noexcept { mark_ = out.size(); }
    /// Forgets what has been collected since mark(). False if some of it has been sent: the rest is
    /// forgotten then.
    [[nodiscard]] bool take_back() noexcept;
    /// That of a flush, which is why later ones fail: the client has gone, or was too slow.
    [[nodiscard]] std::error_code error() const noexcept { return failed_; }
    /// Whether a wait for the client ended with `error` because of the deadline or the task of whoever
    /// called. `servers` is the end of the server's own patience.
    [[nodiscard]] bool is_callers_own(std::error_code error, Deadline servers) const noexcept;
    /// Before reads, and writes of a handler's: lets others run now and then. A peer that sends or reads as fast
    /// as this fiber works would keep its worker else, for nothing ever has to be waited for.
    void give_way() noexcept {
        work_ += kWorkOfATransfer;
        if (work_ >= kWorkInARow) [[unlikely]] {
            let_others_run();
        }
    }
    /// A request has been, with others behind it. True if there have been so many that it is time for
    /// send_and_give_way().
    [[nodiscard]] bool has_answered() noexcept { return ++work_ >= kWorkInARow; }
    /// Sends what the kernel takes at once, and lets others run. What is left, and an error, are a later flush's.
    void send_and_give_way() noexcept;
    /// Others have run just now.
    void has_given_way() noexcept { work_ = 0; }
    [[nodiscard]] bool is_over_limit() const noexcept {
        return out.size() >= options_.max_output_bytes;
    }

    Buffer out;

private:
    static constexpr std::size_t kNoMark = static_cast<std::size_t>(-1);
    // Some 100 us of transfers, at 8 to 64 KiB each, or of answers that are quickly made. A burst of 64 is not cut.
    static constexpr unsigned kWorkInARow = 96;
    static constexpr unsigned kWorkOfATransfer = 3;

    void let_others_run() noexcept;
    template <typename Send>
    [[nodiscard]] Result<void> send_patiently(Deadline deadline, Send send) noexcept;
    [[nodiscard, gnu::noinline]] Result<void> flush_rest(Result<std::size_t> sent,
                                                         Deadline deadline) noexcept;
    /// The front of `out` has been sent.
    void has_taken(std::size_t bytes) noexcept;

    const ServerOptions& options_;
    net::TcpStream* stream_ = nullptr;  // null while the exchange is not lent
    std::error_code failed_;
    Patience patience_;
    std::size_t mark_ = kNoMark;  // in `out`; kNoMark if something behind it has been sent
    unsigned work_ = 0;           // since others have run
};

}  // namespace coir::http
