#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <stop_token>

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

    /// The server is stopping. Every connection looks for that once more: a wait for its client, the one that
    /// it is in or else its next, ends for nothing. Threads: any.
    void wake_all_to_close() noexcept;
    /// Ends the reads and writes of every connection, those that enter later too. Their ends are their own affair: a
    /// body that looks whole where it ends must be reset. Threads: any; callbacks of who waits for the end of a client
    /// run here.
    void cut_all() noexcept;
    [[nodiscard]] bool is_closing() const noexcept {
        return closing_.load(std::memory_order_seq_cst);  // on x86-64 as cheap as relaxed
    }

private:
    // More than workers would be of no use, fewer make them wait now and then.
    static constexpr std::size_t kShards = 64;

    struct alignas(64) Shard {
        std::mutex mutex;
        // Both under mutex.
        Entry* first = nullptr;
        Entry* first_cut = nullptr;

        /// Cuts one that has not been. Returns whom to tell, without the lock; none if all have been.
        [[nodiscard]] std::optional<std::stop_source> cut_one() noexcept;
    };

    template <typename Visit>
    void for_each(Visit visit) noexcept;

    std::array<Shard, kShards> shards_;
    // Never goes back. Set before the wakes: who comes to wait after those has seen it.
    std::atomic<bool> closing_{false};
    // true: what enters is cut at once. Never goes back. Who enters a shard after cut_all() has
    // seen it takes the same lock later, and so sees the flag.
    std::atomic<bool> cut_{false};
};

/// A connection's place in the registry, for as long as it lives.
/// Threads: one fiber at a time; the registry looks at it under the shard's lock.
class ConnectionRegistry::Entry final {
public:
    /// `worker`: the one that runs the caller.
    Entry(ConnectionRegistry& registry, net::TcpStream& stream, std::size_t worker) noexcept;
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

private:
    friend class ConnectionRegistry;

    // Under the shard's mutex.
    void link(Entry*& first) noexcept;
    void unlink() noexcept;

    net::TcpStream& stream_;
    Shard& shard_;
    // Under the shard's mutex.
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    bool is_cut_ = false;
};

}  // namespace coir::http
