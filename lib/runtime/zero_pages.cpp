#include "runtime/zero_pages.hpp"

#include <sys/mman.h>

#include <new>

namespace coir::detail {

ZeroPages::ZeroPages(std::size_t bytes)
    : data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
      bytes_(bytes) {
    if (data_ == MAP_FAILED) {
        throw std::bad_alloc();
    }
}

ZeroPages::~ZeroPages() {
    ::munmap(data_, bytes_);
}

void ZeroPages::discard() noexcept {
    (void)::madvise(data_, bytes_, MADV_DONTNEED);
}

}  // namespace coir::detail
