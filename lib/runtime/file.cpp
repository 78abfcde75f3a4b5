#include "coir/runtime/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "coir/base/assert.hpp"
#include "coir/base/retried.hpp"
#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"
#include "coir/runtime/blocking.hpp"

namespace coir {
namespace {

/// As blocking(), with all errors in the Result that `function` returns.
template <typename F>
std::invoke_result_t<F&> on_pool(Deadline deadline, F function) {
    if (this_fiber::id() == 0) {
        return function();
    }
    detail::BlockingCall<F&> call(function);
    if (const auto ran = detail::run_blocking(call, deadline); !ran) {
        return ran.error();
    }
    return call.take();
}

int flags_of(const OpenOptions& options) noexcept {
    // Not O_NONBLOCK's usual meaning: a FIFO without a peer must not hold a thread of the pool.
    int flags = O_CLOEXEC | O_NONBLOCK;
    flags |= options.read && options.write ? O_RDWR : options.write ? O_WRONLY : O_RDONLY;
    flags |= options.create ? O_CREAT : 0;
    flags |= options.exclusive ? O_EXCL : 0;
    flags |= options.truncate ? O_TRUNC : 0;
    flags |= options.append ? O_APPEND : 0;
    return flags;
}

// The functions below may block.

Result<UniqueFd> open_now(const std::string& path, const OpenOptions& options) noexcept {
    const bool changes = options.create || options.truncate || options.append;
    if (path.find('\0') != std::string::npos || !(options.read || options.write) ||
        (changes && !options.write) || (options.exclusive && !options.create)) {
        return std::errc::invalid_argument;
    }
    COIR_TRY(const std::size_t fd, syscall::retried([&] {
                 return ::open(path.c_str(), flags_of(options), options.permissions);
             }));
    return UniqueFd(static_cast<int>(fd));
}

Result<std::uint64_t> size_now(int fd) noexcept {
    struct stat status {};
    COIR_TRY([[maybe_unused]] const std::size_t done,
             syscall::retried([&] { return ::fstat(fd, &status); }));
    return static_cast<std::uint64_t>(status.st_size);
}

Result<std::size_t> read_now(int fd, std::uint64_t offset, std::span<std::byte> into) noexcept {
    return syscall::retried(
        [&] { return ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset)); });
}

Result<std::string> read_all_now(int fd, std::size_t max_bytes) {
    constexpr std::size_t kLeastSpace = 4096;  // files of /proc say that they are empty
    COIR_TRY(const std::uint64_t expected, size_now(fd));
    if (expected > max_bytes) {
        return std::errc::file_too_large;
    }
    std::string bytes;
    std::size_t size = 0;
    for (;;) {
        if (size == bytes.size()) {
            // One byte more than is allowed, or expected, shows whether there is more.
            const std::size_t most =
                max_bytes - size < kLeastSpace ? max_bytes + 1 : 2 * size + kLeastSpace;
            bytes.resize(std::max(size == 0 ? static_cast<std::size_t>(expected) + 1 : 0, most));
        }
        COIR_TRY(const std::size_t more,
                 read_now(fd, size, std::as_writable_bytes(std::span(bytes)).subspan(size)));
        size += more;
        if (size > max_bytes) {
            return std::errc::file_too_large;
        }
        if (more == 0) {
            bytes.resize(size);
            return bytes;
        }
    }
}

}  // namespace

Result<File> File::open(const std::string& path, const OpenOptions& options, Deadline deadline) {
    COIR_TRY(UniqueFd fd, on_pool(deadline, [&] { return open_now(path, options); }));
    return File(std::move(fd));
}

Result<std::size_t> File::read_some_at(std::uint64_t offset, std::span<std::byte> into,
                                       Deadline deadline) const noexcept {
    COIR_ASSERT(!into.empty());
    return on_pool(deadline, [&] { return read_now(fd_.get(), offset, into); });
}

Result<std::string> File::read_all(std::size_t max_bytes, Deadline deadline) const {
    return on_pool(deadline, [&] { return read_all_now(fd_.get(), max_bytes); });
}

Result<void> File::write_all_at(std::uint64_t offset, std::span<const std::byte> from,
                                Deadline deadline) noexcept {
    return on_pool(deadline, [&]() -> Result<void> {
        while (!from.empty()) {
            COIR_TRY(const std::size_t size, syscall::retried([&] {
                         return ::pwrite(fd_.get(), from.data(), from.size(),
                                         static_cast<off_t>(offset));
                     }));
            from = from.subspan(size);
            offset += size;
        }
        return {};
    });
}

Result<void> File::append(std::span<const std::byte> from, Deadline deadline) noexcept {
    return on_pool(deadline, [&]() -> Result<void> {
        while (!from.empty()) {
            COIR_TRY(const std::size_t size, syscall::write_without_sigpipe(fd_.get(), from));
            from = from.subspan(size);
        }
        return {};
    });
}

Result<std::uint64_t> File::size(Deadline deadline) const noexcept {
    return on_pool(deadline, [&] { return size_now(fd_.get()); });
}

Result<void> File::truncate(std::uint64_t size, Deadline deadline) noexcept {
    return on_pool(deadline, [&]() -> Result<void> {
        return syscall::retried([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); })
            .error();
    });
}

Result<void> File::sync(Deadline deadline) noexcept {
    return on_pool(deadline, [&]() -> Result<void> {
        return syscall::retried([&] { return ::fsync(fd_.get()); }).error();
    });
}

Result<std::string> read_file(const std::string& path, std::size_t max_bytes, Deadline deadline) {
    return on_pool(deadline, [&]() -> Result<std::string> {
        COIR_TRY(const UniqueFd fd, open_now(path, {}));
        return read_all_now(fd.get(), max_bytes);
    });
}

}  // namespace coir
