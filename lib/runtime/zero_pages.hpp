#pragma once

#include <cstddef>

namespace coir::detail {

/// Whole pages of memory that begin as zeros and can become so again, without their memory, in place.
/// Throws std::bad_alloc.
class ZeroPages final {
public:
    explicit ZeroPages(std::size_t bytes);
    ~ZeroPages();
    ZeroPages(const ZeroPages&) = delete;
    ZeroPages& operator=(const ZeroPages&) = delete;

    [[nodiscard]] void* data() const noexcept { return data_; }
    /// Gives the memory to the kernel. Whoever reads at this moment reads what was there, or zeros.
    void discard() noexcept;

private:
    void* data_;
    std::size_t bytes_;
};

}  // namespace coir::detail
