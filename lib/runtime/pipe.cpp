#include "coir/runtime/pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "coir/base/assert.hpp"
#include "coir/base/socket_calls.hpp"
#include "coir/base/syscall.hpp"

namespace coir {
Result<Pipe> Pipe::create() noexcept {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) {
        return syscall::last_error();
    }
    return Pipe{PipeReader(UniqueFd(ends[0])), PipeWriter(UniqueFd(ends[1]))};
}

Result<std::size_t> PipeReader::read_some(std::span<std::byte> into, Deadline deadline) noexcept {
    COIR_ASSERT(!into.empty());
    return source_.when_readable(deadline, [&] { return syscall::read(source_.fd(), into); });
}

Result<void> PipeWriter::write_all(std::span<const std::byte> from, Deadline deadline) noexcept {
    while (!from.empty()) {
        COIR_TRY(const std::size_t written, source_.when_writable(deadline, [&] {
            return syscall::write_without_sigpipe(source_.fd(), from);
        }));
        from = from.subspan(written);
    }
    return {};
}

}  // namespace coir
