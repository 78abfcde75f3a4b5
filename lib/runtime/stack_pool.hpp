#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

namespace coir::detail {

/// One mapping of several stacks, each above its guard.
struct StackSlab {
    std::byte* base;
    std::size_t index;   // in the list of all slabs
    std::uint64_t free;  // one bit per stack, the lowest address first
    // While a stack is free.
    StackSlab* previous = nullptr;
    StackSlab* next = nullptr;
};

/// Memory for one fiber: [guard | usable]. `usable` bytes end at `top`; the stack grows down.
struct StackRegion {
    std::byte* top = nullptr;
    std::size_t usable_bytes = 0;
    std::size_t guard_bytes = 0;
    StackSlab* slab = nullptr;  // where it was cut

    [[nodiscard]] std::byte* bottom() const noexcept { return top - usable_bytes; }
    [[nodiscard]] explicit operator bool() const noexcept { return top != nullptr; }
    /// Whether an access to `address` is one below the bottom, and caught.
    [[nodiscard]] bool guards(std::uintptr_t address) const noexcept {
        const auto end = reinterpret_cast<std::uintptr_t>(bottom());
        return top != nullptr && address < end && address >= end - guard_bytes;
    }
};

/// What stands below a stack: whatever is lightest on this kernel, or mprotect() in any case.
enum class StackGuards { lightest, mprotect };

/// Guarded stacks, cut from slabs of one size.
///
/// The problem: a guard by mprotect splits a mapping, two of the kernel's 65,530 allowed areas per
/// stack; and a mapping per stack costs a system call and page faults per spawn. So stacks come from
/// slabs of 64, are guarded with MADV_GUARD_INSTALL where the kernel has it (Linux 6.13: no areas),
/// and are reused. The pages of a cold stack are given back, and so are slabs without any stack in
/// use, page tables and all, except a few.
///
/// Threads: any.
class StackSlabs final {
public:
    /// Slabs without any stack in use that are kept for the next burst.
    static constexpr std::size_t kSpareSlabs = 32;
    static constexpr std::size_t kStacksPerSlab = 64;

    /// Both sizes are rounded up to whole pages, the guard to one at least.
    explicit StackSlabs(std::size_t usable_bytes, std::size_t guard_bytes = 0,
                        StackGuards guards = StackGuards::lightest);
    ~StackSlabs();
    StackSlabs(const StackSlabs&) = delete;
    StackSlabs& operator=(const StackSlabs&) = delete;

    /// An empty region and `error` when the kernel gives no more memory or no more mappings.
    [[nodiscard]] StackRegion take(std::error_code& error) noexcept;
    /// Takes `count` stacks back, which may still be warm, and gives their pages to the kernel.
    void give_back(const StackRegion* regions, std::size_t count) noexcept;

    /// Calls `look` with every stack, used or not; none is added or unmapped meanwhile.
    template <typename F>
    void for_each_stack(F look) {
        const std::lock_guard lock(mutex_);
        for (const auto& slab : slabs_) {
            for (std::size_t i = 0; i != kStacksPerSlab; ++i) {
                look(stack_of(*slab, i));
            }
        }
    }
    /// Address space of all slabs.
    [[nodiscard]] std::size_t mapped_bytes() noexcept {
        const std::lock_guard lock(mutex_);
        return slabs_.size() * slab_bytes_;
    }

    [[nodiscard]] std::size_t usable_bytes() const noexcept { return usable_bytes_; }
    [[nodiscard]] std::size_t guard_bytes() const noexcept { return guard_bytes_; }
    [[nodiscard]] std::size_t to_whole_pages(std::size_t bytes) const noexcept;

private:
    [[nodiscard]] StackRegion stack_of(StackSlab& slab, std::size_t i) const noexcept {
        return {slab.base + (i + 1) * (guard_bytes_ + usable_bytes_), usable_bytes_, guard_bytes_,
                &slab};
    }
    [[nodiscard]] bool add_slab(std::error_code& error);
    [[nodiscard]] bool install_guard(void* place) noexcept;
    void link(StackSlab& slab) noexcept;
    void unlink(StackSlab& slab) noexcept;
    void put_back(const StackRegion& region) noexcept;
    void unmap(StackSlab& slab) noexcept;

    const std::size_t page_bytes_;
    const std::size_t usable_bytes_;
    const std::size_t guard_bytes_;
    const std::size_t slab_bytes_;
    bool by_mprotect_;  // wanted, or all that this kernel has
    std::mutex mutex_;
    std::vector<std::unique_ptr<StackSlab>> slabs_;
    StackSlab* first_ = nullptr;   // of those that have a free stack
    std::size_t spare_slabs_ = 0;  // those without any stack in use
};

/// A worker's warm stacks in front of the slabs.
///
/// The problem: a burst leaves as many as there may be, each with its pages, and a worker that has nothing
/// to do does not come by to give them back. So before a worker sleeps it asks how long it may (next_trim()),
/// and trims: of what lay here untouched since the last trim, all but a few goes. After two looks in vain
/// only those few are left, and nobody needs to wake for them any more.
///
/// Threads: its worker only.
class StackCache final {
public:
    using Clock = std::chrono::steady_clock;

    /// Warm stacks that stay in any case.
    static constexpr std::size_t kKeptStacks = 4;
    /// Stacks that one call of trim() gives back, at most: that many system calls, if none are neighbours.
    static constexpr std::size_t kTrimmedAtOnce = 64;
    /// Between two trims, at least.
    static constexpr std::chrono::seconds kTrimInterval{1};

    StackCache(StackSlabs& slabs, std::size_t capacity) : slabs_(slabs), capacity_(capacity) {}
    ~StackCache();
    StackCache(const StackCache&) = delete;
    StackCache& operator=(const StackCache&) = delete;

    [[nodiscard]] StackRegion take(std::error_code& error) noexcept;
    void give_back(StackRegion region) noexcept;

    /// When trim() has something to do; it may have passed. Cost: a comparison.
    [[nodiscard]] Clock::time_point next_trim() const noexcept {
        return warm_.size() <= kKeptStacks ? Clock::time_point::max() : next_trim_;
    }
    /// Gives back what has not been needed since the last trim, if that was long enough before `now`. More than
    /// kTrimmedAtOnce take further calls, for which next_trim() asks at once.
    void trim(Clock::time_point now) noexcept;

private:
    void give_oldest_back(std::size_t count) noexcept;

    StackSlabs& slabs_;
    const std::size_t capacity_;
    std::vector<StackRegion> warm_;  // the last one in is the warmest
    // So many of the oldest have lain here since the last trim; <= warm_.size().
    std::size_t untouched_ = 0;
    Clock::time_point next_trim_{};
};

}  // namespace coir::detail
