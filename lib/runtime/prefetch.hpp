#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/session_control.hpp"
#include "runtime/work_deque.hpp"

/// Has the cache fetch what those use who will run soon: where many wait for their turn, the memory of each has
/// left the caches since its last. Only hints: any address will do.
namespace coir::detail {

// So many fibers that the stack of the next is worth fetching, and so many sessions, of which there is less to fetch.
inline constexpr std::size_t kCrowd = 128;
inline constexpr std::size_t kFewSessions = 16;
// Far enough ahead that it is there in time, and not so far that it has been driven out again.
inline constexpr std::size_t kPrefetchAhead = 4;
// A session is read to find its state: where both were asked for at once, 7 % of the user time at 512 connections was
// the wait for it.
inline constexpr std::size_t kFetchSessionsAhead = 8;

/// What a fiber that waited, and goes on, uses of its stack: a kilobyte or so of frames below its context, and the
/// FiberControl above.
inline void prefetch_frames(const void* waiting) noexcept {
    constexpr std::uintptr_t kCacheLine = 64;
    constexpr std::uintptr_t kBelow = 22 * kCacheLine;
    constexpr std::uintptr_t kAbove = 15 * kCacheLine;
    const auto middle = reinterpret_cast<std::uintptr_t>(waiting);
    for (std::uintptr_t line = middle - kBelow; line != middle + kAbove; line += kCacheLine) {
        __builtin_prefetch(reinterpret_cast<const void*>(line));
    }
}

/// For the worker whose queue `ready` is. Where `has_thieves`, one of them may be running whoever is ahead by now, and
/// that may have ended: then its address is all that may be used.
inline void prefetch_ahead(const WorkDeque<Runnable>& ready, bool has_thieves) noexcept {
    const std::size_t queued = ready.size();
    if (queued < kFewSessions) [[likely]] {
        return;
    }
    if (Runnable* const ahead = ready.peek(kPrefetchAhead); !is_session(ahead)) {
        if (queued >= kCrowd) {
            prefetch_frames(ahead);
        }
    } else if (!has_thieves) {
        // It is read for that, and has been fetched by now, unless it was among the first of a batch.
        session_of(ahead).prefetch_state();
    }
    if (Runnable* const far_ahead = ready.peek(kFetchSessionsAhead); is_session(far_ahead)) {
        session_of(far_ahead).prefetch();
    }
}

}  // namespace coir::detail
