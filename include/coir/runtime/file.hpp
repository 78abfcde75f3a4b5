#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/base/unique_fd.hpp"

namespace coir {

/// Combinations that mean nothing, and neither read nor write, are an invalid_argument.
struct OpenOptions {
    bool read = true;
    bool write = false;
    bool create = false;     ///< Makes the file if there is none. Requires: write.
    bool exclusive = false;  ///< file_exists if there is one. Requires: create.
    bool truncate = false;   ///< Empties it. Requires: write.
    bool append = false;     ///< All writes go to the end, whatever their offset. Requires: write.
    unsigned permissions = 0644;  ///< Of a file that is made; the process's umask is taken off.
};

/// A file, read and written where it may block: on the threads of blocking(), for the kernel has no
/// readiness of files to wait for.
///
/// Suspends: each call until a thread has done it. `deadline`, a task-wide deadline and a request to stop
///           end it only while it waits for a thread: a disk cannot be interrupted. A plain thread does
///           the call itself.
/// Errors:   timed_out, operation_canceled before anything was done, resource_unavailable_try_again if no
///           thread can be started; what the system call says. No SIGPIPE.
/// Threads:  any number of fibers at a time, as the offsets are theirs; but open and destroy it alone.
///           The destructor closes on the thread it is called on: ask sync() first for the errors that
///           a network file system would tell at a close.
/// Cost:     see blocking(). Larger pieces are cheaper.
class File final {
public:
    File() noexcept = default;
    explicit File(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

    /// Errors: no_such_file_or_directory, permission_denied, file_exists, too_many_files_open, ...;
    ///         invalid_argument for a path with a NUL byte. A pipe without a peer does not hold it up.
    [[nodiscard]] static Result<File> open(const std::string& path, const OpenOptions& options,
                                           Deadline deadline);

    /// Reads at least one byte, but 0 at the end of the file and beyond. Requires: `into` is not empty.
    [[nodiscard]] Result<std::size_t> read_some_at(std::uint64_t offset, std::span<std::byte> into,
                                                   Deadline deadline) const noexcept;
    /// The whole file, from its start to its end.
    /// Errors: file_too_large if it has more than `max_bytes`.
    [[nodiscard]] Result<std::string> read_all(std::size_t max_bytes, Deadline deadline) const;
    /// After an error an unknown part of it has been written.
    [[nodiscard]] Result<void> write_all_at(std::uint64_t offset, std::span<const std::byte> from,
                                            Deadline deadline) noexcept;
    /// At the end of the file. Requires: opened with OpenOptions::append.
    [[nodiscard]] Result<void> append(std::span<const std::byte> from, Deadline deadline) noexcept;

    [[nodiscard]] Result<std::uint64_t> size(Deadline deadline) const noexcept;
    /// Cuts the file, or fills it up with zeroes.
    [[nodiscard]] Result<void> truncate(std::uint64_t size, Deadline deadline) noexcept;
    /// Returns when all that was written is on the disk, as far as the kernel can tell.
    [[nodiscard]] Result<void> sync(Deadline deadline) noexcept;

    [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(fd_); }
    [[nodiscard]] int native_handle() const noexcept { return fd_.get(); }

private:
    UniqueFd fd_;
};

/// The bytes of the file at `path`, by one visit to the pool.
/// Suspends: as File. Errors: as File::open() and File::read_all().
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t max_bytes,
                                            Deadline deadline);

}  // namespace coir
