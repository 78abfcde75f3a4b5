#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <vector>

namespace coir::detail {

/// Memory for one fiber: [guard page | usable]. `usable` bytes end at `top`; the stack grows down.
struct StackRegion {
    std::byte* top = nullptr;
    std::size_t usable_bytes = 0;

    [[nodiscard]] std::byte* bottom() const noexcept { return top - usable_bytes; }
    [[nodiscard]] explicit operator bool() const noexcept { return top != nullptr; }
};

/// Guarded stacks, cut from slabs of one size.
///
/// The problem: a guard page by mprotect splits a mapping, two of the kernel's 65,530 allowed areas
/// per stack; and a mapping per stack costs a system call and page faults per spawn. So stacks come
/// from slabs of 64, are guarded with MADV_GUARD_INSTALL where the kernel has it (Linux 6.13: no
/// areas), and are reused. Slabs live until the pool ends; the pages of a cold stack are given back.
///
/// Threads: any.
class StackSlabs final {
public:
    explicit StackSlabs(std::size_t usable_bytes);
    ~StackSlabs();
    StackSlabs(const StackSlabs&) = delete;
    StackSlabs& operator=(const StackSlabs&) = delete;

    /// An empty region and `error` when the kernel gives no more memory or no more mappings.
    [[nodiscard]] StackRegion take(std::error_code& error) noexcept;
    /// Takes `count` stacks back, which may still be warm, and gives their pages to the kernel.
    void give_back(const StackRegion* regions, std::size_t count) noexcept;

    /// Calls `look` with every stack, used or not; none is added meanwhile.
    template <typename F>
    void for_each_stack(F look) {
        const std::lock_guard lock(mutex_);
        for (const Slab& slab : slabs_) {
            const std::size_t stack_bytes = page_bytes_ + usable_bytes_;
            for (std::size_t end = stack_bytes; end <= slab.bytes; end += stack_bytes) {
                look(StackRegion{slab.base + end, usable_bytes_});
            }
        }
    }
    /// Address space of all slabs.
    [[nodiscard]] std::size_t mapped_bytes() noexcept {
        const std::lock_guard lock(mutex_);
        std::size_t bytes = 0;
        for (const Slab& slab : slabs_) {
            bytes += slab.bytes;
        }
        return bytes;
    }

    [[nodiscard]] std::size_t usable_bytes() const noexcept { return usable_bytes_; }
    [[nodiscard]] std::size_t to_whole_pages(std::size_t bytes) const noexcept;

private:
    struct Slab {
        std::byte* base;
        std::size_t bytes;
    };

    [[nodiscard]] bool add_slab(std::error_code& error);

    const std::size_t page_bytes_;
    const std::size_t usable_bytes_;
    std::mutex mutex_;
    std::vector<Slab> slabs_;
    std::vector<StackRegion> free_;
};

/// A worker's warm stacks in front of the slabs. Threads: its worker only.
class StackCache final {
public:
    StackCache(StackSlabs& slabs, std::size_t capacity) : slabs_(slabs), capacity_(capacity) {}
    ~StackCache();
    StackCache(const StackCache&) = delete;
    StackCache& operator=(const StackCache&) = delete;

    [[nodiscard]] StackRegion take(std::error_code& error) noexcept;
    void give_back(StackRegion region) noexcept;

private:
    StackSlabs& slabs_;
    const std::size_t capacity_;
    std::vector<StackRegion> warm_;  // the last one in is the warmest
};

}  // namespace coir::detail
