#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/net/socket_access.hpp"
#include "coir/net/stream_socket.hpp"

namespace coir::net {

template <typename Stream>
class WriteHalf;
template <typename Stream>
struct Halves;

namespace detail {

template <typename Stream>
[[nodiscard]] Halves<Stream> split(Stream&& stream);

}  // namespace detail

/// The reading side of a stream that was split: it can be moved to another fiber than the writing
/// side's. Both own the one stream, without a second descriptor, which closes when both have gone.
///
/// What the calls do, and what they leave behind, stands at StreamSocket.
/// Threads: one fiber at a time; close() from anywhere while *this lives.
template <typename Stream>
class ReadHalf final {
public:
    ReadHalf() noexcept = default;
    ReadHalf(ReadHalf&&) noexcept = default;
    ReadHalf& operator=(ReadHalf&&) noexcept = default;

    [[nodiscard]] Result<std::size_t> read_some(std::span<std::byte> into,
                                                Deadline deadline) noexcept {
        return stream_->read_some(into, deadline);
    }
    [[nodiscard]] Result<void> read_exact(std::span<std::byte> into, Deadline deadline) noexcept {
        return stream_->read_exact(into, deadline);
    }
    [[nodiscard]] Result<void> read_exact(std::span<std::byte> into, std::size_t& read,
                                          Deadline deadline) noexcept {
        return stream_->read_exact(into, read, deadline);
    }
    [[nodiscard]] Result<std::size_t> peek(std::span<std::byte> into, Deadline deadline) noexcept {
        return stream_->peek(into, deadline);
    }
    [[nodiscard]] Result<void> wait_readable(Deadline deadline) noexcept {
        return stream_->wait_readable(deadline);
    }

    /// Ends the connection in both directions; the other half's calls end with operation_canceled.
    void close() noexcept { stream_->close(); }
    [[nodiscard]] bool is_open() const noexcept { return stream_ != nullptr && stream_->is_open(); }
    /// For its addresses. Options are set before the split.
    [[nodiscard]] const Stream& stream() const noexcept { return *stream_; }

private:
    friend struct detail::SocketAccess;
    friend Halves<Stream> detail::split<Stream>(Stream&& stream);
    template <typename T>
    friend T reunite(ReadHalf<T> reader, WriteHalf<T> writer);

    explicit ReadHalf(std::shared_ptr<Stream> stream) noexcept : stream_(std::move(stream)) {}

    std::shared_ptr<Stream> stream_;
};

/// The writing side of a stream that was split; see ReadHalf.
///
/// Its destructor shuts the writing side down: the peer reads what has been written, then the end of
/// the stream. A writer that gives up in the middle of a message, which the peer must not take for
/// whole, calls abort(); over a Unix socket, which cannot say that, its protocol has to.
template <typename Stream>
class WriteHalf final {
public:
    WriteHalf() noexcept = default;
    WriteHalf(WriteHalf&&) noexcept = default;
    WriteHalf& operator=(WriteHalf&& other) noexcept {
        if (this != &other) {
            finish();
            stream_ = std::move(other.stream_);
        }
        return *this;
    }
    ~WriteHalf() { finish(); }

    [[nodiscard]] Result<void> write_all(std::span<const std::byte> from,
                                         Deadline deadline) noexcept {
        return stream_->write_all(from, deadline);
    }
    [[nodiscard]] Result<void> write_all(std::span<const std::byte> from, std::size_t& written,
                                         Deadline deadline) noexcept {
        return stream_->write_all(from, written, deadline);
    }
    [[nodiscard]] Result<void> write_all(std::span<const std::span<const std::byte>> pieces,
                                         Deadline deadline) noexcept {
        return stream_->write_all(pieces, deadline);
    }
    [[nodiscard]] Result<void> write_all(std::span<const std::span<const std::byte>> pieces,
                                         std::size_t& written, Deadline deadline) noexcept {
        return stream_->write_all(pieces, written, deadline);
    }
    [[nodiscard]] Result<std::size_t> write_some(std::span<const std::byte> from,
                                                 Deadline deadline) noexcept {
        return stream_->write_some(from, deadline);
    }
    [[nodiscard]] Result<std::size_t> try_write_some(std::span<const std::byte> from) noexcept {
        return stream_->try_write_some(from);
    }
    [[nodiscard]] Result<void> send_file(int file, std::uint64_t offset, std::size_t count,
                                         std::size_t& sent, Deadline deadline) noexcept {
        return stream_->send_file(file, offset, count, sent, deadline);
    }

    /// Ends the connection in both directions; the other half's calls end with operation_canceled.
    void close() noexcept { stream_->close(); }
    /// See TcpStream.
    void abort() noexcept requires requires(Stream& stream) { stream.abort(); }
    { stream_->abort(); }
    [[nodiscard]] bool is_open() const noexcept { return stream_ != nullptr && stream_->is_open(); }
    /// For its addresses. Options are set before the split.
    [[nodiscard]] const Stream& stream() const noexcept { return *stream_; }

private:
    friend struct detail::SocketAccess;
    friend Halves<Stream> detail::split<Stream>(Stream&& stream);
    template <typename T>
    friend T reunite(ReadHalf<T> reader, WriteHalf<T> writer);

    explicit WriteHalf(std::shared_ptr<Stream> stream) noexcept : stream_(std::move(stream)) {}
    void finish() noexcept {
        if (is_open()) {
            // Its error says that the connection has ended already.
            (void)stream_->shutdown(Shutdown::write);
        }
    }

    std::shared_ptr<Stream> stream_;
};

/// `auto [reader, writer] = std::move(stream).split();`
template <typename Stream>
struct Halves {
    ReadHalf<Stream> reader;
    WriteHalf<Stream> writer;
};

/// The stream again, as it was before split().
/// Requires: both are halves of the same stream, and nobody is in a call on either.
template <typename Stream>
[[nodiscard]] Stream reunite(ReadHalf<Stream> reader, WriteHalf<Stream> writer) {
    COIR_CHECK(reader.stream_ != nullptr && reader.stream_ == writer.stream_);
    reader.stream_.reset();
    return std::move(*std::exchange(writer.stream_, nullptr));
}

namespace detail {

template <typename Stream>
Halves<Stream> split(Stream&& stream) {
    auto shared = std::make_shared<Stream>(std::move(stream));
    return {ReadHalf<Stream>(shared), WriteHalf<Stream>(shared)};
}

}  // namespace detail

}  // namespace coir::net
