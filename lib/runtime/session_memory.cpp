#include "runtime/session_memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "coir/base/assert.hpp"

namespace coir::detail {
namespace {

constexpr std::size_t kAlignment = 64;
// Whole pages wherever coir runs.
constexpr std::size_t kSlabBytes = 64 * 1024;
// A slab is to hold some sessions; a larger one is the allocator's, whose pages are no larger then.
constexpr std::size_t kMostBytes = 4 * 1024;

// Sanitizers look after what new and delete know. GCC and Clang say in different ways that there is one.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COIR_SANITIZED 1
#endif
#endif
#if defined(COIR_SANITIZED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLeftToAllocator = true;
#else
constexpr bool kLeftToAllocator = false;
#endif

std::size_t cell_bytes(std::size_t bytes) noexcept {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool is_allocators(std::size_t bytes) noexcept {
    return kLeftToAllocator || bytes > kMostBytes;
}

/// Null without memory.
void* map_slab() noexcept {
    // Twice as much contains an aligned one.
    void* const mapping = ::mmap(nullptr, 2 * kSlabBytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        return nullptr;
    }
    auto* const begin = static_cast<std::byte*>(mapping);
    const std::size_t before =
        (kSlabBytes - reinterpret_cast<std::uintptr_t>(begin) % kSlabBytes) % kSlabBytes;
    // Best effort, as in other slabs: what cannot be unmapped stays unused.
    if (before != 0) {
        (void)::munmap(begin, before);
    }
    (void)::munmap(begin + before + kSlabBytes, kSlabBytes - before);
    // Best effort: a kernel without huge pages says EINVAL.
    (void)::madvise(begin + before, kSlabBytes, MADV_NOHUGEPAGE);
    return begin + before;
}

}  // namespace

/// A free cell.
struct SessionMemory::Cell {
    Cell* next;
};

/// At the beginning of its own memory.
struct alignas(kAlignment) SessionMemory::Slab {
    explicit Slab(std::size_t bytes) noexcept
        : cells((kSlabBytes - sizeof(Slab)) / bytes),
          fresh(reinterpret_cast<std::byte*>(this + 1)) {}

    const std::size_t cells;
    std::size_t used = 0;
    std::byte* fresh;  // the cells from here on have never been used, nor their pages
    Cell* free = nullptr;
    Slab* previous = nullptr;
    Slab* next = nullptr;
};

SessionMemory::~SessionMemory() {
    for (Size& size : sizes_) {
        while (Slab* const slab = size.usable) {
            COIR_ASSERT(slab->used == 0);
            unlink(size, *slab);
            (void)::munmap(slab, kSlabBytes);
        }
    }
}

SessionMemory::Size& SessionMemory::size_of(std::size_t bytes) {
    for (Size& size : sizes_) {
        if (size.bytes == bytes) {
            return size;
        }
    }
    return sizes_.emplace_back(Size{bytes});
}

void SessionMemory::link(Size& size, Slab& slab) noexcept {
    slab.previous = nullptr;
    slab.next = size.usable;
    if (slab.next != nullptr) {
        slab.next->previous = &slab;
    }
    size.usable = &slab;
}

void SessionMemory::unlink(Size& size, Slab& slab) noexcept {
    (slab.previous != nullptr ? slab.previous->next : size.usable) = slab.next;
    if (slab.next != nullptr) {
        slab.next->previous = slab.previous;
    }
}

void* SessionMemory::take(std::size_t bytes) {
    if (is_allocators(bytes)) {
        return ::operator new (bytes, std::align_val_t{kAlignment});
    }
    bytes = cell_bytes(bytes);
    const std::lock_guard lock(mutex_);
    Size& size = size_of(bytes);
    if (size.usable == nullptr) {
        void* const memory = map_slab();
        if (memory == nullptr) {
            throw std::bad_alloc();
        }
        link(size, *::new (memory) Slab(bytes));
        size.has_spare = true;
    }
    Slab& slab = *size.usable;
    if (slab.used++ == 0) {
        size.has_spare = false;
    }
    if (slab.used == slab.cells) {
        unlink(size, slab);
    }
    if (Cell* const cell = slab.free) {
        slab.free = cell->next;
        return cell;
    }
    void* const cell = slab.fresh;
    slab.fresh += bytes;
    return cell;
}

void SessionMemory::give_back(void* memory, std::size_t bytes) noexcept {
    if (is_allocators(bytes)) {
        ::operator delete (memory, std::align_val_t{kAlignment});
        return;
    }
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    Slab& slab = *reinterpret_cast<Slab*>(address - address % kSlabBytes);
    const std::lock_guard lock(mutex_);
    Size& size = size_of(cell_bytes(bytes));  // is there: throws nothing
    if (slab.used-- == slab.cells) {
        link(size, slab);
    }
    slab.free = ::new (memory) Cell{slab.free};
    if (slab.used != 0) {
        return;
    }
    if (!size.has_spare) {
        size.has_spare = true;
        return;
    }
    unlink(size, slab);
    // In the middle of a mapping that may need one more, of which there may be too many: then it stays for use.
    if (::munmap(&slab, kSlabBytes) != 0) {
        link(size, slab);
    }
}

}  // namespace coir::detail
