#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace coir::detail {

/// Memory for the sessions that are started on one worker.
///
/// The problem: when a burst of connections is over, an allocator keeps what they have had until somebody asks it for more,
/// and a worker that has nothing to do asks for nothing. So sessions lie in slabs of their own, and one
/// of which all is free goes back to the kernel, except the last of each size.
///
/// Threads: any; sessions end on other workers, too. Cost: a lock; for a slab, some system calls.
class SessionMemory final {
public:
    SessionMemory() = default;
    /// Requires: all has been given back.
    ~SessionMemory();
    SessionMemory(const SessionMemory&) = delete;
    SessionMemory& operator=(const SessionMemory&) = delete;

    /// With an alignment of 64 bytes. Throws std::bad_alloc.
    [[nodiscard]] void* take(std::size_t bytes);
    /// Requires: `memory` comes from take(bytes) of the same object.
    void give_back(void* memory, std::size_t bytes) noexcept;

private:
    struct Slab;
    struct Cell;

    /// The slabs whose cells have one size.
    struct Size {
        std::size_t bytes;
        Slab* usable = nullptr;  // have a free cell: a list
        bool has_spare = false;  // one of them is all free
    };

    [[nodiscard]] Size& size_of(std::size_t bytes);
    static void link(Size& size, Slab& slab) noexcept;
    static void unlink(Size& size, Slab& slab) noexcept;

    std::mutex mutex_;
    std::vector<Size> sizes_;  // under mutex_; hardly ever more than one
};

}  // namespace coir::detail
