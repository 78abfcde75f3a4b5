#include "runtime/io_state_slabs.hpp"

#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#include <bit>
#include <new>

#include "runtime/io_state.hpp"

namespace coir::detail {
namespace {

constexpr std::uint64_t kAllFree = ~std::uint64_t{0};
static_assert(IoStateSlab::kStates == 64, "one bit each");

constexpr std::size_t kSlabBytes = IoStateSlab::kStates * sizeof(IoState);

// There are kernels with pages of 64 KiB: the call would round the length up, and take the next slabs with it.
bool is_whole_pages() noexcept {
    static const bool is = kSlabBytes % static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) == 0;
    return is;
}

}  // namespace

void IoStateSlabs::List::push(IoStateSlab& slab) noexcept {
    slab.previous = nullptr;
    slab.next = first_;
    if (first_ != nullptr) {
        first_->previous = &slab;
    }
    first_ = &slab;
}

void IoStateSlabs::List::remove(IoStateSlab& slab) noexcept {
    (slab.previous != nullptr ? slab.previous->next : first_) = slab.next;
    if (slab.next != nullptr) {
        slab.next->previous = slab.previous;
    }
}

IoState* IoStateSlabs::take() noexcept {
    const std::lock_guard lock(mutex_);
    if (usable_.first() == nullptr && !make_usable()) {
        return nullptr;
    }
    IoStateSlab& slab = *usable_.first();
    const auto index = static_cast<std::size_t>(std::countr_zero(slab.free));
    slab.free &= slab.free - 1;
    if (slab.free == 0) {
        usable_.remove(slab);
    }
    return slab.states + index;
}

void IoStateSlabs::give_back(IoState* state) noexcept {
    IoStateSlab& slab = state->slab;
    const auto index = static_cast<std::size_t>(state - slab.states);
    {
        const std::lock_guard lock(mutex_);
        if (slab.free == 0) {
            usable_.push(slab);
        }
        slab.free |= std::uint64_t{1} << index;
        if (slab.free != kAllFree) {
            return;
        }
        usable_.remove(slab);
        if (spares_ != kSpareSlabs) {
            spare_.push(slab);
            ++spares_;
            return;
        }
    }
    discard_states(slab);  // in no list, so it is ours
    const std::lock_guard lock(mutex_);
    empty_.push(slab);
}

bool IoStateSlabs::make_usable() noexcept {
    if (IoStateSlab* const slab = spare_.first()) {
        spare_.remove(*slab);
        --spares_;
        usable_.push(*slab);
        return true;
    }
    if (empty_.first() == nullptr && !reserve()) {
        return false;
    }
    IoStateSlab& slab = *empty_.first();
    empty_.remove(slab);
    construct_states(slab);
    usable_.push(slab);
    return true;
}

bool IoStateSlabs::reserve() noexcept {
    try {
        slabs_.reserve(std::bit_ceil(slabs_.size() + 1));
        slabs_.push_back(std::make_unique<std::array<IoStateSlab, kSlabsAtOnce>>());
    } catch (const std::bad_alloc&) {
        return false;
    }
    constexpr std::size_t kBytes = kSlabsAtOnce * kSlabBytes;
    void* const base = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        slabs_.pop_back();
        return false;
    }
    // Best effort: a kernel without huge pages says EINVAL.
    (void)::madvise(base, kBytes, MADV_NOHUGEPAGE);
#if defined(__SANITIZE_ADDRESS__)
    // What only a state points to, such as the wheel of its deadlines, is no leak.
    __lsan_register_root_region(base, kBytes);
#endif
    std::byte* place = static_cast<std::byte*>(base) + kBytes;
    for (auto slab = slabs_.back()->rbegin(); slab != slabs_.back()->rend(); ++slab) {
        place -= kSlabBytes;
        slab->states = reinterpret_cast<IoState*>(place);
        empty_.push(*slab);  // the lowest last, so that it is the first to be taken
    }
    return true;
}

void IoStateSlabs::construct_states(IoStateSlab& slab) noexcept {
    for (std::size_t i = 0; i != IoStateSlab::kStates; ++i) {
        (::new (slab.states + i) IoState(slab))->resume_at(slab.generations[i]);
    }
    slab.free = kAllFree;
}

void IoStateSlabs::discard_states(IoStateSlab& slab) noexcept {
    for (std::size_t i = 0; i != IoStateSlab::kStates; ++i) {
        IoState& state = slab.states[i];
        slab.generations[i] =
            static_cast<std::uint16_t>(state.generation.load(std::memory_order_relaxed));
        state.~IoState();
    }
    slab.free = 0;
    // Where the pages stay, that only keeps the memory: no tag has these generations, which have had no owner.
    if (is_whole_pages()) {
        (void)::madvise(slab.states, kSlabBytes, MADV_DONTNEED);
    }
}

}  // namespace coir::detail
