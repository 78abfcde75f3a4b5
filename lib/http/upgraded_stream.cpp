#include "coir/http/upgraded_stream.hpp"

#include <algorithm>
#include <cstring>

#include "coir/base/assert.hpp"

namespace coir::http {

std::size_t UpgradedStream::take_arrived(std::span<std::byte> into) noexcept {
    const std::size_t size = std::min(into.size(), arrived_.size());
    std::memcpy(into.data(), arrived_.readable().data(), size);
    arrived_.consume(size);
    if (arrived_.empty()) {
        arrived_ = Buffer();
    }
    return size;
}

Result<std::size_t> UpgradedStream::read_some(std::span<std::byte> into,
                                              Deadline deadline) noexcept {
    COIR_ASSERT(!into.empty());
    return arrived_.empty() ? stream_.read_some(into, deadline) : take_arrived(into);
}

Result<void> UpgradedStream::read_exact(std::span<std::byte> into, Deadline deadline) noexcept {
    if (!into.empty() && !arrived_.empty()) {
        into = into.subspan(take_arrived(into));
    }
    return into.empty() ? Result<void>() : stream_.read_exact(into, deadline);
}

Result<std::size_t> UpgradedStream::try_read_some(std::span<std::byte> into) noexcept {
    COIR_ASSERT(!into.empty());
    return arrived_.empty() ? stream_.try_read_some(into) : take_arrived(into);
}

Result<void> UpgradedStream::wait_readable(Deadline deadline) noexcept {
    return arrived_.empty() ? stream_.wait_readable(deadline) : Result<void>();
}

}  // namespace coir::http
