#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace coir::detail {

class IoState;

/// A few pages of IoStates, and what has to be known of them while the pages are away.
struct IoStateSlab {
    static constexpr std::size_t kStates = 64;

    IoState* states = nullptr;  // the first of them
    std::uint64_t free = 0;     // one bit per state, the lowest address first
    // In the list that the slab is in.
    IoStateSlab* previous = nullptr;
    IoStateSlab* next = nullptr;
    // With what each state goes on when the slab comes into use again; 0 is the first time.
    std::array<std::uint16_t, kStates> generations{};
};

/// Memory in which every IoState lies.
///
/// The problem: pollers keep the addresses of states, even of those whose descriptors were closed long
/// ago if somebody has a duplicate, and look there whenever the kernel says so. But a burst of
/// connections must not keep its memory for good. So the address space of states is never given back, and
/// only the pages are: those of slabs without any state in use, except a few. States come from slabs in use
/// first, so that others become free. Where the pages are away one reads zeros, which is no
/// generation; and whoever means another generation than he reads does not write (IoState::find()).
///
/// Threads: any. Cost: a lock; per 64 states at most, 64 constructors or one system call.
class IoStateSlabs final {
public:
    /// Slabs without any state in use that keep their pages for the next burst.
    static constexpr std::size_t kSpareSlabs = 4;

    IoStateSlabs() = default;
    // No destructor gives address space back: it is for the whole process.
    IoStateSlabs(const IoStateSlabs&) = delete;
    IoStateSlabs& operator=(const IoStateSlabs&) = delete;

    /// As new, but for its generation; null when there is no more memory.
    [[nodiscard]] IoState* take() noexcept;
    /// Requires: the state is as new, and no batch is under way in which it may have been found.
    void give_back(IoState* state) noexcept;

private:
    // 1 MiB of address space for each mapping.
    static constexpr std::size_t kSlabsAtOnce = 64;

    /// Slabs, the last one in first out.
    class List final {
    public:
        [[nodiscard]] IoStateSlab* first() const noexcept { return first_; }
        void push(IoStateSlab& slab) noexcept;
        void remove(IoStateSlab& slab) noexcept;

    private:
        IoStateSlab* first_ = nullptr;
    };

    [[nodiscard]] bool make_usable() noexcept;
    [[nodiscard]] bool reserve() noexcept;
    static void construct_states(IoStateSlab& slab) noexcept;
    static void discard_states(IoStateSlab& slab) noexcept;

    std::mutex mutex_;
    // A slab is in one of these lists, or its states are all in use, or it is between two of them.
    List usable_;  // a state is free
    List spare_;   // all are free
    List empty_;   // the same, and there are no states
    std::size_t spares_ = 0;
    std::vector<std::unique_ptr<std::array<IoStateSlab, kSlabsAtOnce>>> slabs_;
};

}  // namespace coir::detail
