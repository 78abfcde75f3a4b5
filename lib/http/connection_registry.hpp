#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

#include "coir/net/tcp_stream.hpp"

namespace coir::http {

/// Finds the connections of a server from outside: stop() must wake those that wait for a request,
/// and in the end cut the rest.
///
/// One list per worker, so that opening and closing connections does not make workers wait for each
/// other. The lists' locks are std::mutex: they are never held across a suspension.
class ConnectionRegistry final {
public:
    class Entry;

    /// Wakes every connection that waits for a request; from now on Entry::begin_idle() says no.
    /// Threads: any.
    void close_idle() noexcept;
    /// Ends every connection in both directions, those that enter later too. Threads: any.
    void cut_all() noexcept;
    [[nodiscard]] bool is_closing() const noexcept {
        return closing_.load(std::memory_order_seq_cst);  // on x86-64 as cheap as relaxed
    }

private:
    // More than workers would be of no use, fewer make them wait now and then.
    static constexpr std::size_t kShards = 64;

    struct alignas(64) Shard {
        std::mutex mutex;
        Entry* first = nullptr;  // under mutex
    };

    template <typename Visit>
    void for_each(Visit visit) noexcept;

    std::array<Shard, kShards> shards_;
    // false: open. true: begin_idle() refuses. Never goes back.
    std::atomic<bool> closing_{false};
    // true: what enters is cut at once. Never goes back. Who enters a shard after cut_all() has
    // seen it takes the same lock later, and so sees the flag.
    std::atomic<bool> cut_{false};
};

/// A connection's place in the registry, for as long as it lives.
/// Threads: one fiber; the registry looks at it under the shard's lock.
class ConnectionRegistry::Entry final {
public:
    /// `worker`: the one that runs the caller.
    Entry(ConnectionRegistry& registry, net::TcpStream& stream, std::size_t worker) noexcept;
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    /// The connection is about to wait for a request. False if it must not: the server is stopping,
    /// and nobody would wake it.
    [[nodiscard]] bool begin_idle() noexcept {
        // Either this load sees closing_, or close_idle() sees idle_: both pairs are seq_cst.
        idle_.store(true, std::memory_order_seq_cst);
        return !registry_.closing_.load(std::memory_order_seq_cst);
    }
    void end_idle() noexcept { idle_.store(false, std::memory_order_relaxed); }

private:
    friend class ConnectionRegistry;

    ConnectionRegistry& registry_;
    net::TcpStream& stream_;
    Shard& shard_;
    Entry* previous_ = nullptr;  // under the shard's mutex
    Entry* next_ = nullptr;      // under the shard's mutex
    // true: waits for a request with nothing begun, and may be woken.
    std::atomic<bool> idle_{false};
};

}  // namespace coir::http
