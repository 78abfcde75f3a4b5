#include "runtime/stack_pool.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "coir/base/syscall.hpp"

namespace coir::detail {

namespace {

#ifndef MADV_GUARD_INSTALL
constexpr int kMadvGuardInstall = 102;  // Linux 6.13; older headers do not name it
#else
constexpr int kMadvGuardInstall = MADV_GUARD_INSTALL;
#endif

// More than any kernel gives; a slab of such stacks can still be counted.
constexpr std::size_t kMostBytes = std::size_t{1} << 48;

constexpr std::uint64_t kAllFree = ~std::uint64_t{0};
static_assert(StackSlabs::kStacksPerSlab == 64, "one bit each");

std::size_t round_up(std::size_t bytes, std::size_t page_bytes) noexcept {
    return (std::min(bytes, kMostBytes) + page_bytes - 1) / page_bytes * page_bytes;
}

/// An odd number of pages from one stack to the next: the pages in use, mostly the first below each
/// top, would else all fall into a few sets of the processor's TLB.
std::size_t fit_guard(std::size_t wanted, std::size_t usable, std::size_t page_bytes) noexcept {
    const std::size_t guard = std::max(round_up(wanted, page_bytes), page_bytes);
    return (usable + guard) / page_bytes % 2 == 0 ? guard + page_bytes : guard;
}

}  // namespace

StackSlabs::StackSlabs(std::size_t usable_bytes, std::size_t guard_bytes, StackGuards guards)
    : page_bytes_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
      usable_bytes_(to_whole_pages(usable_bytes)),
      guard_bytes_(fit_guard(guard_bytes, usable_bytes_, page_bytes_)),
      slab_bytes_(kStacksPerSlab * (guard_bytes_ + usable_bytes_)),
      by_mprotect_(guards == StackGuards::mprotect) {}

StackSlabs::~StackSlabs() {
    for (const auto& slab : slabs_) {
        ::munmap(slab->base, slab_bytes_);
    }
}

std::size_t StackSlabs::to_whole_pages(std::size_t bytes) const noexcept {
    return round_up(bytes, page_bytes_);
}

bool StackSlabs::install_guard(void* place) noexcept {
    if (!by_mprotect_) {
        if (::madvise(place, guard_bytes_, kMadvGuardInstall) == 0) {
            return true;
        }
        by_mprotect_ = syscall::last_error() == std::errc::invalid_argument;
    }
    return ::mprotect(place, guard_bytes_, PROT_NONE) == 0;
}

bool StackSlabs::add_slab(std::error_code& error) {
    slabs_.reserve(std::bit_ceil(slabs_.size() + 1));
    auto slab = std::make_unique<StackSlab>();
    void* const base = ::mmap(nullptr, slab_bytes_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) {
        error = syscall::last_error();
        return false;
    }
    // Best effort: a kernel without huge pages says EINVAL.
    (void)::madvise(base, slab_bytes_, MADV_NOHUGEPAGE);
    slab->base = static_cast<std::byte*>(base);
    for (std::size_t i = 0; i != kStacksPerSlab; ++i) {
        if (!install_guard(stack_of(*slab, i).bottom() - guard_bytes_)) {
            error = syscall::last_error();
            // All of it: what else the process does needs a few mappings too.
            ::munmap(base, slab_bytes_);
            return false;
        }
    }
    slab->free = kAllFree;
    slab->index = slabs_.size();
    slabs_.push_back(std::move(slab));
    link(*slabs_.back());
    ++spare_slabs_;
    return true;
}

void StackSlabs::link(StackSlab& slab) noexcept {
    slab.previous = nullptr;
    slab.next = first_;
    if (first_ != nullptr) {
        first_->previous = &slab;
    }
    first_ = &slab;
}

void StackSlabs::unlink(StackSlab& slab) noexcept {
    (slab.previous != nullptr ? slab.previous->next : first_) = slab.next;
    if (slab.next != nullptr) {
        slab.next->previous = slab.previous;
    }
}

StackRegion StackSlabs::take(std::error_code& error) noexcept {
    const std::lock_guard lock(mutex_);
    try {
        if (first_ == nullptr && !add_slab(error)) {
            return {};
        }
    } catch (const std::bad_alloc&) {
        error = std::make_error_code(std::errc::not_enough_memory);
        return {};
    }
    StackSlab& slab = *first_;
    if (slab.free == kAllFree) {
        --spare_slabs_;
    }
    const auto index = static_cast<std::size_t>(std::countr_zero(slab.free));
    slab.free &= slab.free - 1;
    if (slab.free == 0) {
        unlink(slab);
    }
    return stack_of(slab, index);
}

void StackSlabs::put_back(const StackRegion& region) noexcept {
    StackSlab& slab = *region.slab;
    if (slab.free == 0) {
        link(slab);
    }
    const auto offset = static_cast<std::size_t>(region.top - slab.base);
    slab.free |= std::uint64_t{1} << (offset / (guard_bytes_ + usable_bytes_) - 1);
    if (slab.free != kAllFree) {
        return;
    }
    if (spare_slabs_ < kSpareSlabs) {
        ++spare_slabs_;
    } else {
        unmap(slab);
    }
}

void StackSlabs::unmap(StackSlab& slab) noexcept {
    if (::munmap(slab.base, slab_bytes_) != 0) {
        ++spare_slabs_;  // it lies in a larger area, and the kernel allows no further one
        return;
    }
    unlink(slab);
    const std::size_t index = slab.index;
    std::swap(slabs_[index], slabs_.back());
    slabs_[index]->index = index;
    slabs_.pop_back();
}

void StackSlabs::give_back(const StackRegion* regions, std::size_t count) noexcept {
    for (std::size_t i = 0; i != count;) {
        // One call for neighbours, with the guards between them: those stay, of either kind. A failure only
        // keeps the memory.
        std::byte* const bottom = regions[i].bottom();
        std::byte* top = regions[i].top;
        for (++i; i != count && regions[i].bottom() == top + guard_bytes_; ++i) {
            top = regions[i].top;
        }
        (void)::madvise(bottom, static_cast<std::size_t>(top - bottom), MADV_DONTNEED);
    }
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i != count; ++i) {
        put_back(regions[i]);
    }
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
    untouched_ = std::min(untouched_, warm_.size());
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
        give_oldest_back(std::max<std::size_t>((capacity_ + 1) / 2, 1));
    }
}

void StackCache::give_oldest_back(std::size_t count) noexcept {
    const auto end = warm_.begin() + static_cast<std::ptrdiff_t>(count);
    std::sort(warm_.begin(), end,
              [](const StackRegion& a, const StackRegion& b) { return a.top < b.top; });
    slabs_.give_back(warm_.data(), count);
    warm_.erase(warm_.begin(), end);
    untouched_ -= std::min(untouched_, count);
}

void StackCache::trim(Clock::time_point now) noexcept {
    if (now < next_trim()) {
        return;
    }
    const std::size_t count = std::min(untouched_, warm_.size() - kKeptStacks);
    give_oldest_back(std::min(count, kTrimmedAtOnce));
    if (count > kTrimmedAtOnce) {
        return;  // next_trim() has passed still: the rest goes after a look for events
    }
    untouched_ = warm_.size();
    next_trim_ = now + kTrimInterval;
}

}  // namespace coir::detail
