#include "runtime/stack_pool.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "coir/base/syscall.hpp"

namespace coir::detail {
namespace {

constexpr std::size_t kStacksPerSlab = 64;

#ifndef MADV_GUARD_INSTALL
constexpr int kMadvGuardInstall = 102;  // Linux 6.13; older headers do not name it
#else
constexpr int kMadvGuardInstall = MADV_GUARD_INSTALL;
#endif

bool install_guard(void* page, std::size_t bytes) noexcept {
    if (::madvise(page, bytes, kMadvGuardInstall) == 0) {
        return true;
    }
    return ::mprotect(page, bytes, PROT_NONE) == 0;
}

}  // namespace

StackSlabs::StackSlabs(std::size_t usable_bytes)
    : page_bytes_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
      usable_bytes_(to_whole_pages(usable_bytes)) {}

StackSlabs::~StackSlabs() {
    for (const Slab& slab : slabs_) {
        ::munmap(slab.base, slab.bytes);
    }
}

std::size_t StackSlabs::to_whole_pages(std::size_t bytes) const noexcept {
    return (bytes + page_bytes_ - 1) / page_bytes_ * page_bytes_;
}

bool StackSlabs::add_slab(std::error_code& error) {
    const std::size_t stack_bytes = page_bytes_ + usable_bytes_;
    const std::size_t bytes = kStacksPerSlab * stack_bytes;
    slabs_.reserve(slabs_.size() + 1);
    free_.reserve((slabs_.size() + 1) * kStacksPerSlab);
    void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) {
        error = syscall::last_error();
        return false;
    }
    // Best effort: a kernel without huge pages says EINVAL.
    (void)::madvise(base, bytes, MADV_NOHUGEPAGE);
    auto* const first = static_cast<std::byte*>(base);
    for (std::size_t i = 0; i != kStacksPerSlab; ++i) {
        if (!install_guard(first + i * stack_bytes, page_bytes_)) {
            error = syscall::last_error();
            ::munmap(base, bytes);
            return false;
        }
    }
    slabs_.push_back({first, bytes});
    for (std::size_t i = kStacksPerSlab; i != 0; --i) {  // the lowest address comes out first
        free_.push_back({first + i * stack_bytes, usable_bytes_});
    }
    return true;
}

StackRegion StackSlabs::take(std::error_code& error) noexcept {
    const std::lock_guard lock(mutex_);
    try {
        if (free_.empty() && !add_slab(error)) {
            return {};
        }
    } catch (const std::bad_alloc&) {
        error = std::make_error_code(std::errc::not_enough_memory);
        return {};
    }
    const StackRegion region = free_.back();
    free_.pop_back();
    return region;
}

void StackSlabs::give_back(const StackRegion* regions, std::size_t count) noexcept {
    for (std::size_t i = 0; i != count; ++i) {
        // The guard page is outside this range and stays. A failure only keeps the memory.
        (void)::madvise(regions[i].bottom(), regions[i].usable_bytes, MADV_DONTNEED);
    }
    const std::lock_guard lock(mutex_);
    free_.insert(free_.end(), regions, regions + count);  // reserved by add_slab()
}

StackCache::~StackCache() {
    slabs_.give_back(warm_.data(), warm_.size());
}

StackRegion StackCache::take(std::error_code& error) noexcept {
    if (warm_.empty()) {
        return slabs_.take(error);
    }
    const StackRegion region = warm_.back();
    warm_.pop_back();
    return region;
}

void StackCache::give_back(StackRegion region) noexcept {
    if (warm_.capacity() == 0) {
        try {
            warm_.reserve(capacity_ + 1);
        } catch (const std::bad_alloc&) {
            slabs_.give_back(&region, 1);
            return;
        }
    }
    warm_.push_back(region);
    if (warm_.size() > capacity_) {
        // The oldest half goes, so that a load around the limit does not pay for each stack.
        const std::size_t cold = std::max<std::size_t>((capacity_ + 1) / 2, 1);
        slabs_.give_back(warm_.data(), cold);
        warm_.erase(warm_.begin(), warm_.begin() + static_cast<std::ptrdiff_t>(cold));
    }
}

}  // namespace coir::detail
